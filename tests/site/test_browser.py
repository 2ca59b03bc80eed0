"""The site in a real Chromium: nothing foreign, no error, no sideways scroll, working search."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from handbook import paths
from handbook.site import build, server
from handbook.site.project import Project

pytestmark = pytest.mark.browser

ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SCREENS = paths.BUILD / "screens"
WIDTHS = (390, 1280)
SCHEMES = ("light", "dark")


@dataclass
class Visit:
    """One page in the browser, and what went on meanwhile."""

    page: Page
    origin: str
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def foreign(self) -> list[str]:
        """Requests that left the site."""
        local = (self.origin, "data:", "blob:")
        return [address for address in self.requests if not address.startswith(local)]

    def open(self, path: str) -> None:
        """Go there and wait until nothing is loading."""
        self.page.goto(self.origin + path, wait_until="networkidle")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The machine's own Chromium."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.fail("no Chromium: install it (`make browser`) or name it in CHROMIUM")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def handbook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """The handbook's own site, built and served: its folder and its address."""
    folder = tmp_path_factory.mktemp("handbook") / "site"
    build.render(Project(), folder)
    running = server.listen(folder, 0, print)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield folder, running.url
    running.shutdown()
    running.server_close()


def visit(browser: Browser, origin: str, *, width: int = 1280, scheme: str = "light") -> Visit:
    """A fresh window."""
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
        locale="ko-KR",
    )
    seen = Visit(context.new_page(), origin)
    seen.page.on("request", lambda request: seen.requests.append(request.url))
    seen.page.on("pageerror", lambda error: seen.errors.append(str(error)))
    seen.page.on(
        "console",
        lambda message: seen.errors.append(message.text) if message.type == "error" else None,
    )
    seen.page.set_default_timeout(15_000)
    return seen


def addresses(folder: Path) -> list[str]:
    """Every page of the site, as a reader addresses it."""
    pages = (path.relative_to(folder).as_posix() for path in folder.rglob("index.html"))
    return sorted(page.removesuffix("index.html") for page in pages)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_fits_and_stays_local_when_opened(
    browser: Browser, handbook: tuple[Path, str], width: int, scheme: str
) -> None:
    """On a phone and a desk, light and dark: no foreign request, no error, no sideways scroll."""
    folder, origin = handbook
    seen = visit(browser, origin, width=width, scheme=scheme)
    SCREENS.mkdir(parents=True, exist_ok=True)
    for address in addresses(folder):
        seen.open(address)
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width, address
        name = address.strip("/").replace("/", "-") or "home"
        seen.page.screenshot(path=SCREENS / f"{name}-{width}-{scheme}.png")
    seen.page.context.close()
    assert len(seen.requests) > 5
    assert (seen.foreign, seen.errors) == ([], [])


@pytest.mark.parametrize(
    "fault",
    [
        "new Image().src = 'https://fonts.example.org/a.png'",
        "fetch('https://cdn.example.org/mermaid.js').catch(() => 0)",
        "document.head.append(Object.assign(document.createElement('link'),"
        " {rel: 'stylesheet', href: 'https://cdn.example.org/a.css'}))",
    ],
)
def test_foreign_request_is_seen_when_a_page_makes_one(
    browser: Browser, handbook: tuple[Path, str], fault: str
) -> None:
    """The check above bites: an image, a fetch or a style sheet from elsewhere turns it red."""
    seen = visit(browser, handbook[1])
    seen.page.route("https://*.example.org/**", lambda route: route.abort())
    seen.open("")
    assert seen.foreign == []
    with seen.page.expect_request("https://*.example.org/**"):
        seen.page.evaluate(fault)
    assert len(seen.foreign) == 1
    seen.page.context.close()


def test_error_and_overflow_are_seen_when_a_page_has_them(
    browser: Browser, handbook: tuple[Path, str]
) -> None:
    """The other two checks bite as well: a script error and a wide element."""
    seen = visit(browser, handbook[1], width=390)
    seen.open("")
    with seen.page.expect_event("pageerror"):
        seen.page.evaluate("void setTimeout(() => { throw new Error('planted') })")
    seen.page.evaluate(
        "document.querySelector('article').insertAdjacentHTML('beforeend',"
        " '<div style=\"width:900px\">wide</div>')"
    )
    assert any("planted" in error for error in seen.errors)
    assert seen.page.evaluate("document.documentElement.scrollWidth") > 390
    seen.page.context.close()


@pytest.mark.parametrize("query", ["아웃박스", "릴레이를", "outbox"])
def test_search_finds_the_page_when_a_reader_types_korean(
    browser: Browser, handbook: tuple[Path, str], query: str
) -> None:
    """Typed as on a keyboard; a word with its particle finds the word without."""
    seen = visit(browser, handbook[1])
    seen.open("reference/coverage/")
    box = seen.page.locator("input.md-search__input")
    box.click()
    box.press_sequentially(query)
    box.press("End")  # the theme listens to keys, and Hangul arrives without one
    seen.page.locator(".md-search-result__link[href*='events/outbox/']").first.wait_for()
    assert (seen.foreign, seen.errors) == ([], [])
    seen.page.context.close()


def test_embed_leads_to_its_cell_when_the_link_is_followed(
    browser: Browser, handbook: tuple[Path, str]
) -> None:
    """From the page to the very cell of the lab, which then stands in view."""
    seen = visit(browser, handbook[1])
    seen.open("events/outbox/")
    figure = seen.page.locator("figure.cell").first
    cell = figure.get_attribute("data-cell")
    figure.locator("figcaption a").click()
    seen.page.wait_for_url(f"**/labs/*/#{cell}")
    target = seen.page.locator(f"#{cell}")
    target.wait_for()
    box = target.bounding_box()
    assert box is not None
    assert 0 <= box["y"] < 900
    seen.page.context.close()


def test_missing_page_is_korean_and_styled_when_opened(
    browser: Browser, handbook: tuple[Path, str]
) -> None:
    """The 404 page finds its style sheets from any depth."""
    seen = visit(browser, handbook[1])
    answer = seen.page.goto(handbook[1] + "gone/deep/page/", wait_until="networkidle")
    assert answer is not None
    assert answer.status == 404
    assert seen.page.locator("h1").inner_text() == "없는 페이지입니다"
    family = "getComputedStyle(document.querySelector('.md-typeset')).lineHeight"
    assert seen.page.evaluate(family) == "28px"
    assert seen.foreign == []
    seen.page.context.close()
