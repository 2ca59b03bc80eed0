"""Decision flow charts: Mermaid source in a page, drawn by Mermaid 11 of the site itself.

A page shows the source as text until a script draws it, when it comes near the window. Mermaid
styles its drawing inline, which the site's content policy forbids: it works in a hidden frame with
a policy of its own, and hands over a drawing without styles, which ours then colour (both schemes
and print without drawing again).
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from handbook.site.problems import Problem

LANGUAGE = "mermaid"
CLASS = "flow-chart"
FOLDER = "assets/flowchart"
SOURCES = "flowchart"
PACKAGE = "mermaid"
ENTRY = "mermaid.esm.min.mjs"
IMPORT = re.compile(r"""(?:from|import)\s*"(?P<file>\.{1,2}/[^"]+\.mjs)\"""")
LAZY = re.compile(r"""import\("(?P<file>\.{1,2}/[^"]+\.mjs)"\)""")
# What a flow chart needs of Mermaid's lazily loaded parts: its grammar and its layout.
NEEDED = ("flowDiagram-", "dagre-", "sizeCapture-")
OPEN = re.compile(r"^(?P<indent>\s*)(?P<ticks>`{3,}|~{3,})\s*\{?\s*\.?mermaid\b")
KIND = re.compile(r"^\s*flowchart\s+(TB|TD|LR)\b")
TITLE = re.compile(r"^\s*accTitle:\s*\S")
TEXT = re.compile(r"^\s*accDescr(:\s*\S|\s*\{)")


def fence(source: str, _language: str, css_class: str, _options: Any, _md: Any, **_: Any) -> str:
    """The chart as a page carries it; a custom fence of `pymdownx.superfences`."""
    code = escape(source, quote=False)
    return f'<figure class="{css_class}" tabindex="0"><pre><code>{code}</code></pre></figure>'


def check(file: str, text: str) -> Iterator[Problem]:
    """Everything wrong with the charts of one page's source. `file` is its name."""
    for line, lines in _charts(text):
        where = f"{file}:{line}"
        if not any(map(KIND.match, lines)):
            yield Problem(
                where,
                "this Mermaid drawing is no flow chart",
                "begin it with `flowchart TD`; other pictures are drawn from data (`/// figure`)",
            )
        if not (any(map(TITLE.match, lines)) and any(map(TEXT.match, lines))):
            yield Problem(
                where,
                "the flow chart has no text for those who cannot see it",
                "add `accTitle: …` and `accDescr: …` below its first line",
            )


def _charts(text: str) -> Iterator[tuple[int, list[str]]]:
    lines = text.splitlines()
    closed = 0
    for number, line in enumerate(lines):
        opened = OPEN.match(line)
        if number < closed or not opened:
            continue
        end = next(
            (at for at in range(number + 1, len(lines)) if lines[at].strip() == opened["ticks"]),
            len(lines),
        )
        closed = end + 1
        yield number + 1, lines[number + 1 : end]


def shown(html: str) -> bool:
    """Whether the page has a chart."""
    return f'<figure class="{CLASS}" ' in html


def install(assets: Path, theme: Path, site: Path) -> None:
    """Put Mermaid, as far as flow charts need it, and our two scripts into the site."""
    folder = site / FOLDER
    shutil.copytree(theme / SOURCES, folder, dirs_exist_ok=True)
    dist = assets / PACKAGE / "dist"
    for file in modules(dist):
        target = folder / PACKAGE / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(dist / file, target)
    shutil.copy(assets / PACKAGE / "LICENSE", folder / PACKAGE)


def modules(dist: Path) -> list[str]:
    """Mermaid's files that a flow chart can load, relative to `dist`."""
    found, open_ends = set[str](), [ENTRY]
    while open_ends:
        file = open_ends.pop()
        if file in found:
            continue
        found.add(file)
        text = (dist / file).read_text("utf-8")
        lazy = [name for name in LAZY.findall(text) if Path(name).name.startswith(NEEDED)]
        open_ends += [
            (dist / file).parent.joinpath(name).resolve().relative_to(dist.resolve()).as_posix()
            for name in (*IMPORT.findall(text), *lazy)
        ]
    return sorted(found)
