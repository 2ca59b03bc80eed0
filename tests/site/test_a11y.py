"""axe-core over the four kinds of page, and text that does not move while a page loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from visits import SCHEMES, visit

from handbook import paths
from handbook.site import assets

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

PAGES = {
    "home": "",
    "topic": "events/outbox/",
    "lab": "labs/13-outbox/",
    "patterns": "reference/writing/patterns/",
}
WIDTHS = (1280, 390, 320)
SHIFT = """
window.shift = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shift += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""
NO_SHIFT = 0.001


@pytest.fixture(scope="session")
def axe() -> str:
    """The script, from the same lock as the fonts."""
    packages = assets.get(paths.ROOT)
    if packages is None:
        pytest.fail("axe-core could not be fetched; see the warning")
    return (packages / "axe-core/axe.min.js").read_text("utf-8")


def violations(page: Page, axe: str) -> list[str]:
    """What axe finds, best practices included."""
    page.evaluate(axe)
    found: dict[str, Any] = page.evaluate("axe.run()")
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_when_a_page_is_opened(
    browser: Browser, handbook: tuple[Path, str], axe: str, name: str, scheme: str
) -> None:
    """Desk and phones, light and dark."""
    seen = visit(browser, handbook[1], scheme=scheme, bypass_csp=True)
    seen.open(PAGES[name])
    for width in WIDTHS:
        seen.resize(width)
        assert violations(seen.page, axe) == [], width
    seen.page.context.close()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing_when_the_search_shows_results(
    browser: Browser, handbook: tuple[Path, str], axe: str, scheme: str
) -> None:
    """The dialog has a name, and its results can be read."""
    seen = visit(browser, handbook[1], scheme=scheme, bypass_csp=True)
    seen.open("")
    box = seen.page.locator("input.md-search__input")
    box.click()
    box.press_sequentially("outbox")
    seen.page.locator(".md-search-result__link").first.wait_for()
    seen.page.wait_for_timeout(500)  # the dialog fades in
    assert violations(seen.page, axe) == []
    seen.page.context.close()


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ("article.insertAdjacentHTML('beforeend', '<img src=\"data:,\">')", "image-alt"),
        ("article.querySelector('p:not([class])').style.color = '#c4c8d0'", "color-contrast"),
        ("document.querySelector('.md-search').removeAttribute('aria-label')", "aria-dialog-name"),
        ("document.documentElement.lang = ''", "html-has-lang"),
    ],
)
def test_axe_is_red_when_a_page_is_spoiled(
    browser: Browser, handbook: tuple[Path, str], axe: str, fault: str, named: str
) -> None:
    """The twin of the checks above."""
    seen = visit(browser, handbook[1], bypass_csp=True)
    seen.open("labs/13-outbox/")
    seen.page.evaluate(
        f"(() => {{ const article = document.querySelector('article'); {fault} }})()"
    )
    assert [one for one in violations(seen.page, axe) if one.startswith(named)]
    seen.page.context.close()


def shifts(browser: Browser, address: str, width: int) -> tuple[float, float]:
    """How much a page's parts move while it loads, at the first visit and at the next."""
    page = visit(browser, address, width=width).page
    page.add_init_script(SHIFT)
    moved = []
    for _ in range(2):
        page.goto(address, wait_until="networkidle")
        moved.append(float(page.evaluate("shift")))
    page.context.close()
    return moved[0], moved[1]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_nothing_moves_when_a_page_loads(
    browser: Browser, handbook: tuple[Path, str], name: str, width: int
) -> None:
    """Cumulative layout shift is 0, at the first visit and when the fonts are there."""
    first, later = shifts(browser, handbook[1] + PAGES[name], width)
    assert first < NO_SHIFT
    assert later < NO_SHIFT


def test_movement_is_seen_when_something_pushes_the_page_down(
    browser: Browser, handbook: tuple[Path, str]
) -> None:
    """The twin of the test above."""
    page = visit(browser, handbook[1], bypass_csp=True).page
    page.add_init_script(SHIFT)
    page.goto(handbook[1], wait_until="networkidle")
    page.evaluate("document.querySelector('article').prepend(document.createElement('pre'))")
    page.add_style_tag(content="article > pre { height: 300px }")
    page.wait_for_function("shift > 0.1")
    page.context.close()
