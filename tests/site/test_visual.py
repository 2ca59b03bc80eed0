"""The pattern page looks as it did: every element once, at two widths, in two schemes.

After a change that is meant, look at the new pictures and keep them:
`HANDBOOK_SCREENS=keep .venv/bin/pytest tests/site/test_visual.py`.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from PIL import Image, ImageChops
from playwright.sync_api import Browser, Route
from visits import SCHEMES, WIDTHS, visit

from handbook import paths

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

STORED = Path(__file__).parent / "screens"
SEEN = paths.BUILD / "screens"
# What differs from run to run, or from day to day, is not part of the look.
STEADY = """
*, ::before, ::after { animation: none !important; transition: none !important; }
.proof { display: none !important; }
"""
SCALE = 2
COLOURS = 16
# Edges of letters differ between machines: what counts is a whole area that looks different.
BLUR = 4
DIFFERENT = 40
SHARE = 0.002


def wait_for_fonts(route: Route) -> None:
    """On a busy machine a page may do without fonts that come late; a picture may not."""
    sheet = route.fetch()
    route.fulfill(response=sheet, body=sheet.text().replace("optional", "block"))


def picture(browser: Browser, origin: str, width: int, scheme: str) -> Image.Image:
    """The whole page, at half its size, flow chart drawn."""
    seen = visit(browser, origin, width=width, scheme=scheme, bypass_csp=True)
    seen.page.route("**/fonts.css", wait_for_fonts)
    seen.open("reference/writing/patterns/")
    seen.page.add_style_tag(content=STEADY)
    seen.page.locator(".flow-chart").scroll_into_view_if_needed()
    seen.page.locator(".flow-chart svg .node").first.wait_for()
    seen.page.evaluate("document.fonts.ready")
    seen.page.evaluate("window.scrollTo(0, 0)")
    seen.page.wait_for_timeout(200)
    whole = Image.open(io.BytesIO(seen.page.screenshot(full_page=True))).convert("RGB")
    seen.page.context.close()
    return whole.reduce(SCALE)


def difference(one: Image.Image, other: Image.Image) -> float:
    """The share of the picture that looks different; everything when the sizes differ."""
    if one.size != other.size:
        return 1.0
    apart = ImageChops.difference(one.convert("RGB"), other.convert("RGB")).convert("L")
    small = apart.reduce(BLUR)
    counts = small.histogram()
    return sum(counts[DIFFERENT:]) / (small.width * small.height)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_pattern_page_looks_as_stored_when_opened(
    browser: Browser, handbook: tuple[Path, str], width: int, scheme: str
) -> None:
    """Compared in blurred areas, so that another machine's smoothing of letters does not count."""
    name = f"patterns-{width}-{scheme}.png"
    seen = picture(browser, handbook[1], width, scheme)
    SEEN.mkdir(parents=True, exist_ok=True)
    seen.save(SEEN / name)
    if os.environ.get("HANDBOOK_SCREENS") == "keep":
        STORED.mkdir(exist_ok=True)
        seen.quantize(COLOURS).save(STORED / name, optimize=True)
    with Image.open(STORED / name) as stored:
        assert difference(seen, stored) <= SHARE, f"look at {SEEN / name}"


def test_difference_is_seen_when_an_element_moves_or_changes() -> None:
    """The twin: a box that moves by some pixels, a colour that changes; but not a letter's edge."""
    before = Image.new("RGB", (640, 640), "white")
    before.paste("#14387f", (100, 100, 300, 140))
    moved = Image.new("RGB", (640, 640), "white")
    moved.paste("#14387f", (100, 112, 300, 152))
    changed = Image.new("RGB", (640, 640), "white")
    changed.paste("#c2079e", (100, 100, 300, 140))
    smoothed = before.copy()
    smoothed.paste("#5b719f", (100, 100, 300, 101))
    assert difference(before, moved) > SHARE
    assert difference(before, changed) > SHARE
    assert difference(before, smoothed) <= SHARE
    assert difference(before, before.resize((640, 630))) == 1.0
