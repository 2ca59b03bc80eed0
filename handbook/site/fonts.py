"""The site's own fonts: Pretendard for text, and D2Coding cut down to what the pages' code shows.

Pretendard comes in small files by range of characters; those that no page needs are left out.
D2Coding (a Hangul syllable is exactly two Latin letters wide, so that transcripts align) is cut to
the characters in code and renamed, as its license asks.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from html import unescape
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any

from handbook import paths

FOLDER = "assets/fonts"
SHEET = f"{FOLDER}/fonts.css"
TEXT_SHEET = "pretendard/dist/web/variable/pretendardvariable-dynamic-subset.css"
TEXT_FILES = "pretendard/dist/web/variable/woff2-dynamic-subset"
TEXT_LICENSE = "pretendard/dist/LICENSE.txt"
CODE_FILE = "d2coding/fonts/d2coding-full.ttf"
CODE_FAMILY = "Handbook Code"
COPYRIGHT_AND_LICENSE = (0, 13, 14)
NAMES = (1, 3, 4, 6, 16)
# Typed into code and search at any time; and what transcripts draw boxes and arrows with.
ALWAYS = "".join(map(chr, range(0x20, 0x7F))) + "─│┌┐└┘├┤┬┴┼→←↑↓…·«»✓✗×–—"
KEPT_CUTS = 24
FIRST_SCREEN = 1200

FACE = re.compile(r"@font-face\s*\{[^}]*\}")
FILE = re.compile(r"url\(\./woff2-dynamic-subset/([^)]+)\)")
RANGE = re.compile(r"unicode-range:([^;}]+)")
TAG = re.compile(r"<[^>]*>")
CODE = re.compile(r"<(code|samp|kbd)\b[^>]*>(.*?)</\1>", re.DOTALL)
NOT_SHOWN = re.compile(r"<(script|style)\b.*?</\1>", re.DOTALL)
LINK = re.compile(rf'<link rel="stylesheet" href="(?P<root>[^"]*){SHEET}">')
PRELOAD = '<link rel="preload" href="{}" as="font" type="font/woff2" crossorigin>'
# A font that comes after the first picture waits for the next page: nothing moves under a reader.
SWAP, OPTIONAL = "font-display: swap", "font-display: optional"
CODE_FACE = """@font-face {
  font-family: "%s";
  font-display: optional;
  src: url(%s) format("woff2");
}
"""


@dataclass(frozen=True)
class Face:
    """One `@font-face` of Pretendard: its rule, its file here and there, what it is for."""

    rule: str
    source: str
    file: str
    characters: frozenset[int]

    def has(self, used: Iterable[int]) -> bool:
        """Whether it holds any of these characters."""
        return not self.characters.isdisjoint(used)


def install(assets: Path, site: Path) -> None:
    """Put the fonts that the built pages need, and their style sheet, into the site."""
    pages = {path: path.read_text("utf-8") for path in site.rglob("*.html")}
    folder = site / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    used = set(map(ord, set().union(*map(unescape, pages.values()))))
    every = faces((assets / TEXT_SHEET).read_text("utf-8"), assets.name)
    chosen = [face for face in every if face.has(used)]
    cut = code_font(assets / CODE_FILE, {one for html in pages.values() for one in code(html)})
    shutil.copy(cut, folder)
    for face in chosen:
        shutil.copy(assets / TEXT_FILES / face.source, folder / face.file)
    shutil.copy(assets / TEXT_LICENSE, folder / "pretendard-OFL.txt")
    rules = [*(face.rule for face in chosen), CODE_FACE % (CODE_FAMILY, cut.name)]
    (site / SHEET).write_text("\n".join(rules), "utf-8")
    for path, html in pages.items():
        path.write_text(with_preloads(html, chosen, cut.name), "utf-8")


def with_preloads(html: str, chosen: Iterable[Face], code_file: str) -> str:
    """The page asking at once for what its first screen shows: else text moves when it comes."""
    if not (link := LINK.search(html)):
        return html
    used = set(map(ord, set(first_screen(html))))
    files = [face.file for face in chosen if face.has(used)]
    files += [code_file] if CODE.search(html) else []
    loads = [PRELOAD.format(f"{link['root']}{FOLDER}/{file}") for file in files]
    return html.replace(link[0], "\n    ".join([*loads, link[0]]), 1)


def first_screen(html: str) -> str:
    """Header, navigation, contents, and the article's beginning."""
    shell, _, article = NOT_SHOWN.sub("", html.partition("<body")[2]).partition("<article")
    beginning = TAG.sub("", article.partition(">")[2])[:FIRST_SCREEN]
    return unescape(TAG.sub("", shell) + beginning)


def code(html: str) -> str:
    """What a page shows as code."""
    return unescape(TAG.sub("", "".join(found[2] for found in CODE.finditer(html))))


def faces(sheet: str, version: str) -> list[Face]:
    """Pretendard's faces, their files beside the style sheet.

    Args:
        sheet: its own style sheet.
        version: goes into the files' names, so that a browser may keep them for ever.
    """
    found = []
    for rule in map(str, FACE.findall(sheet)):
        file, ranges = FILE.search(rule), RANGE.search(rule)
        assert file, "Pretendard's style sheet has another form than that of the locked version"
        assert ranges, "Pretendard's style sheet has another form than that of the locked version"
        name = f"{Path(file[1]).stem}.{version[:8]}.woff2"
        assert SWAP in rule, (
            "Pretendard's style sheet has another form than that of the locked version"
        )
        rule = re.sub(r"\s+", " ", FILE.sub(f"url({name})", rule)).replace(SWAP, OPTIONAL)
        found.append(
            Face(rule, file[1], name, frozenset(chain(*map(_range, ranges[1].split(",")))))
        )
    return found


def _range(text: str) -> range:
    first, _, last = text.strip().upper().removeprefix("U+").partition("-")
    return range(int(first, 16), int(last or first, 16) + 1)


def code_font(source: Path, characters: Iterable[str]) -> Path:
    """D2Coding with these characters only, as a file of the cache named by its content."""
    wanted = "".join(sorted(set(characters) | set(ALWAYS)))
    key = hashlib.sha256(f"{source}\0{wanted}".encode()).hexdigest()[:12]
    folder = paths.cache_home() / "site-fonts"
    target = folder / f"handbook-code-{key}.woff2"
    if target.is_file():
        target.touch()
        return target
    folder.mkdir(parents=True, exist_ok=True)
    for old in sorted(folder.glob("*.woff2"), key=lambda path: path.stat().st_mtime)[:-KEPT_CUTS]:
        old.unlink(missing_ok=True)
    _cut(source, wanted, target)
    return target


def _cut(source: Path, characters: str, target: Path) -> None:
    # Slow to import, and needed only when a page shows a character for the first time.
    subset: Any = import_module("fontTools.subset")

    options = subset.Options(
        flavor="woff2",
        hinting=False,
        layout_features=[],
        drop_tables=["FFTM", "GSUB", "GPOS", "GDEF"],
        name_IDs=[*COPYRIGHT_AND_LICENSE, *NAMES],
    )
    # Two builds may cut the same font at once: the later rename wins.
    part = target.with_suffix(f".{os.getpid()}.part")
    with subset.load_font(source, options) as font:
        for record in [record for record in font["name"].names if record.nameID in NAMES]:
            record.string = CODE_FAMILY.replace(" ", "") if record.nameID == 6 else CODE_FAMILY
        cutter = subset.Subsetter(options)
        cutter.populate(text=characters)
        cutter.subset(font)
        subset.save_font(font, part, options)
    part.rename(target)
