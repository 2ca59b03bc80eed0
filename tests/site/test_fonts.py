"""The fonts of the built site: cut to what it shows, renamed, licensed, asked for in time."""

from __future__ import annotations

from pathlib import Path

import pytest
from fontTools.ttLib import TTFont

from handbook import paths
from handbook.site import assets, fonts

SHEET = """
/* [0] */
@font-face {
	font-family: 'Pretendard Variable';
	font-display: swap;
	src: url(./woff2-dynamic-subset/a.woff2) format('woff2-variations');
	unicode-range: U+61-63, U+ac00;
}
/* [1] */
@font-face {
	font-family: 'Pretendard Variable';
	font-display: swap;
	src: url(./woff2-dynamic-subset/b.woff2) format('woff2-variations');
	unicode-range: U+d7a3;
}
"""
VERSION = "1234567890abcdef"
PAGE = """<html><head><link rel="stylesheet" href="../assets/fonts/fonts.css"></head>
<body><header>가</header><script>힣</script><article class="x"><p>%s</p></article></body></html>"""


@pytest.fixture(scope="session")
def packages() -> Path:
    """The fetched packages."""
    found = assets.get(paths.ROOT)
    if found is None:
        pytest.fail("the fonts could not be fetched; see the warning")
    return found


def test_faces_are_read_with_their_files_and_characters() -> None:
    """One file a range; the address is relative to our own sheet."""
    first, second = fonts.faces(SHEET, VERSION)
    assert (first.source, second.source) == ("a.woff2", "b.woff2")
    assert first.file == "a.12345678.woff2"
    assert "url(a.12345678.woff2)" in first.rule
    assert first.has([ord("b")])
    assert first.has([ord("가")])
    assert not first.has([ord("힣"), ord("d")])


def test_page_asks_at_once_for_its_first_screen_and_no_more() -> None:
    """Scripts and what lies far below are no part of it; the address is the sheet's."""
    faces = fonts.faces(SHEET, VERSION)
    far = "d" * fonts.FIRST_SCREEN + "힣"
    html = fonts.with_preloads(PAGE % far, faces, "code.woff2")
    assert html.count('rel="preload"') == 1
    assert '<link rel="preload" href="../assets/fonts/a.12345678.woff2" as="font"' in html
    near = fonts.with_preloads(PAGE % "<code>힣</code>", faces, "code.woff2")
    assert near.count('rel="preload"') == 3


def test_page_is_left_alone_when_it_has_no_font_sheet() -> None:
    """The frame that draws flow charts, for example."""
    assert fonts.with_preloads("<p>가</p>", fonts.faces(SHEET, VERSION), "c") == "<p>가</p>"


def test_code_is_what_stands_in_code_when_a_page_is_read() -> None:
    """Entities resolved, markup dropped, other text left out."""
    html = "<p>가</p><pre><code><span>나</span>&lt;</code></pre><samp>다</samp><kbd>라</kbd>"
    assert fonts.code(html) == "나<다라"


def test_code_font_has_the_characters_and_another_name_when_cut(
    packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small, renamed as the license asks, copyright kept, Hangul exactly two letters wide."""
    monkeypatch.setenv("HANDBOOK_CACHE", str(tmp_path))
    path = fonts.code_font(packages / fonts.CODE_FILE, "가힣")
    with TTFont(path) as font:
        characters = font.getBestCmap() or {}
        names = {record.nameID: record.toUnicode() for record in font["name"].names}
        widths = {one: font["hmtx"][characters[ord(one)]][0] for one in "가힣Ai│"}
    assert ord("나") not in characters
    assert "NHN" in names[0]
    assert not [names[kind] for kind in fonts.NAMES if "D2" in names.get(kind, "")]
    assert widths["가"] == widths["힣"] == 2 * widths["A"] == 2 * widths["i"]
    assert path.stat().st_size < 40_000


def test_code_font_is_cut_once_when_the_characters_stay_the_same(
    packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rebuild finds the file; another character makes another one."""
    monkeypatch.setenv("HANDBOOK_CACHE", str(tmp_path))
    first = fonts.code_font(packages / fonts.CODE_FILE, "가")
    made = first.read_bytes()
    assert fonts.code_font(packages / fonts.CODE_FILE, "가가A") == first
    assert first.read_bytes() == made
    assert fonts.code_font(packages / fonts.CODE_FILE, "나") != first


def test_licenses_are_shipped_beside_the_fonts() -> None:
    """The text of the OFL, with the copyright of each font."""
    text = (paths.ROOT / "theme/assets/fonts/handbook-code-OFL.txt").read_text("utf-8")
    assert "Reserved Font Name D2Coding" in text
    assert "SIL OPEN FONT LICENSE Version 1.1" in text
