"""The site in a real Chromium: nothing foreign, no error, no sideways scroll, working search."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from visits import FITS, SCHEMES, SLANTED, SMALL, TO_THE_END, WATCH, WIDTHS, addresses, visit

from handbook import paths

pytestmark = pytest.mark.browser

SCREENS = paths.BUILD / "screens"
NARROW = 320
# So that the workers share them.
PARTS = 4


@pytest.mark.parametrize("part", range(PARTS))
def test_every_page_is_in_order_when_opened(
    browser: Browser, handbook: tuple[Path, str], part: int
) -> None:
    """To its end, light and dark, from a small phone to a desk.

    All fits, 14 px at least, no italic Hangul, no foreign request, no error, and nothing that the
    content policy stops.
    """
    folder, origin = handbook
    seen = visit(browser, origin, width=NARROW)
    seen.page.add_init_script(WATCH)
    SCREENS.mkdir(parents=True, exist_ok=True)
    for address in addresses(folder)[part::PARTS]:
        seen.open(address)
        seen.page.evaluate(TO_THE_END)
        for scheme, width in product(SCHEMES, (NARROW, *WIDTHS)):
            seen.wear(scheme)
            seen.resize(width)
            where = f"{address} {scheme} {width}"
            assert seen.page.evaluate(FITS), where
            assert seen.page.evaluate(SMALL) == [], where
            assert seen.page.evaluate(SLANTED) == [], where
            if width in WIDTHS:
                name = address.strip("/").replace("/", "-") or "home"
                seen.page.screenshot(path=SCREENS / f"{name}-{width}-{scheme}.png")
        assert seen.page.evaluate("violations") == [], address
        seen.wear(SCHEMES[0])
        seen.resize(NARROW)
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
    seen = visit(browser, handbook[1], bypass_csp=True)  # which would stop them before
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
        # Through the object model: a style attribute is what the content policy refuses.
        "const wide = document.createElement('div'); wide.textContent = 'wide';"
        " wide.style.width = '900px'; document.querySelector('article').append(wide)"
    )
    assert any("planted" in error for error in seen.errors)
    assert not seen.page.evaluate(FITS)
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
