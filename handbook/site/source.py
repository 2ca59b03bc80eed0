"""A page's Markdown line by line, each with its number and what it is; gates read it.

Only what our pages use is told apart: no indented code, no setext headings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from handbook.site.marks import FENCE

Kind = Literal["blank", "code", "heading", "table", "item", "text", "mark", "html"]

FRONT_MATTER = re.compile(r"\A---[ \t]*\n(?P<yaml>.*?)^(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.M | re.S)
HEADING = re.compile(r"^(?P<level>#{1,6})\s+(?P<text>.*?)(?:\s+\{(?P<attributes>[^{}]*)\})?\s*$")
ITEM = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+\S")
BLOCK = re.compile(r"^\s*(?:/{3,}(?!/)|!{3}\s|\?{3}\+?\s|={3}\s)")
OPTION = re.compile(r"^\s{4,}[\w-]+:(?:\s|$)")
REFERENCE = re.compile(r"^\s{0,3}\[(?!\^)[^\]]+\]:\s")
LITERAL = re.compile(r"^\s*-{1,}8<-{1,}\s")


@dataclass(frozen=True)
class Line:
    """One line. `mark` opens or closes a block of the site's syntax or sets its options."""

    number: int
    text: str
    kind: Kind


@dataclass(frozen=True)
class Heading:
    """One heading; `anchor` is the id that the writer gave it."""

    line: int
    level: int
    text: str
    anchor: str | None


def front_matter(text: str) -> str | None:
    """The YAML above the page's text; None when there is none."""
    found = FRONT_MATTER.match(text)
    return found["yaml"] if found else None


def lines(text: str) -> list[Line]:
    """Every line below the front matter."""
    found = FRONT_MATTER.match(text)
    skipped = found[0].count("\n") if found else 0
    return list(_lines(list(enumerate(text.splitlines(), start=1))[skipped:]))


def _lines(numbered: list[tuple[int, str]]) -> Iterator[Line]:
    ticks, comment, options = "", False, False
    for number, text in numbered:
        fence = FENCE.match(text)
        if ticks:
            ends = fence and fence["ticks"].startswith(ticks) and not fence["info"].strip()
            ticks = "" if ends else ticks
            yield Line(number, text, "code")
        elif comment or text.lstrip().startswith("<!--"):
            comment = "-->" not in text
            yield Line(number, text, "html")
        elif fence:
            ticks = fence["ticks"]
            yield Line(number, text, "code")
        elif options and OPTION.match(text):
            yield Line(number, text, "mark")
        else:
            kind = _kind(text)
            options = kind == "mark" and text.lstrip().startswith("///")
            yield Line(number, text, kind)


def _kind(text: str) -> Kind:
    stripped = text.strip()
    if not stripped:
        return "blank"
    if HEADING.match(text):
        return "heading"
    if stripped.startswith("|"):
        return "table"
    if BLOCK.match(text) or LITERAL.match(text):
        return "mark"
    if ITEM.match(text):
        return "item"
    if re.match(r"</?[a-zA-Z]", stripped) and not re.match(r"<https?:", stripped):
        return "html"
    return "html" if REFERENCE.match(text) else "text"


def headings(page: list[Line]) -> list[Heading]:
    """The headings of a page, in order."""
    return [_heading(line) for line in page if line.kind == "heading"]


def _heading(line: Line) -> Heading:
    found = HEADING.match(line.text)
    assert found
    anchors = [word[1:] for word in (found["attributes"] or "").split() if word.startswith("#")]
    return Heading(line.number, len(found["level"]), found["text"], (anchors or [None])[0])


def cells(row: str) -> list[str]:
    """The cells of a table's row."""
    inner = row.strip().removeprefix("|")
    inner = inner[:-1] if inner.endswith("|") and not inner.endswith("\\|") else inner
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", inner)]
