"""The map of isolation levels in a browser: a cell opens its transcript."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from visits import visit

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("transcript", ["g2-item-serializable", "g0-read-uncommitted"])
def test_transcript_is_open_when_its_cell_is_followed(
    browser: Browser, handbook: tuple[Path, str], transcript: str
) -> None:
    """It is folded before, and in view afterwards."""
    seen = visit(browser, handbook[1])
    seen.open("isolation/levels/")
    folded = seen.page.locator(f"details:has(#{transcript})")
    assert folded.get_attribute("open") is None

    seen.page.locator(f'.fig-matrix a[href="#{transcript}"]').click()

    folded.locator(".steps__list").wait_for()
    assert folded.get_attribute("open") is not None
    seen.page.context.close()


def test_page_with_all_transcripts_is_light(handbook: tuple[Path, str]) -> None:
    """Under 100 KB as it is sent."""
    page = (handbook[0] / "isolation/levels/index.html").read_bytes()
    assert len(gzip.compress(page)) < 100_000
