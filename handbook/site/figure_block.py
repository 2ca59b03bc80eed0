"""`/// figure | KIND DATA.json` and `/// predict | LAB#CELL`, as `pymdownx.blocks` extensions.

They render only. What is wrong with a block is found by `figure_marks`, which knows file and line.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET
from zlib import crc32

from markdown import Markdown
from markdown.util import AtomicString
from pymdownx.blocks import BlocksExtension, BlocksProcessor
from pymdownx.blocks.block import Block, type_string

from handbook.errors import HandbookError
from handbook.figures import prediction
from handbook.figures.kinds import KINDS
from handbook.figures.markup import element
from handbook.site import figure_data, figure_marks
from handbook.site.project import Project
from handbook.site.provenance import Provenance


@dataclass(frozen=True)
class Source:
    """Where the data of a picture come from: a lab, or an invented sample."""

    lab: str | None
    href: str
    provenance: Provenance | None
    sample: str | None


@dataclass(frozen=True)
class Drawn:
    """A picture as HTML."""

    html: str
    source: Source


@dataclass(frozen=True)
class Finder:
    """Looks data up for the page that is being rendered; links are relative to it."""

    project: Project
    page: str
    proof: Callable[[str], Provenance]

    def figure(self, kind: str, name: str) -> Drawn:
        """The picture of that data.

        Raises:
            HandbookError: the gate has the details.
        """
        data = figure_data.load(self.project, kind, name)
        return Drawn(KINDS[kind].render(data), self._source(data))

    def answer(self, lab: str, cell: str, pattern: str) -> tuple[str, str]:
        """The answer of a cell's output, and the words that prove it.

        Raises:
            HandbookError: the gate has the details.
        """
        return figure_data.predicted(self.project, lab, cell, pattern)

    def href(self, lab: str) -> str:
        """A link to the lab."""
        return posixpath.relpath(f"labs/{lab}.ipynb", posixpath.dirname(self.page) or ".")

    def _source(self, data: dict[str, Any]) -> Source:
        lab, sample = data["lab"], data.get("sample")
        if sample or lab not in self.project.labs():
            return Source(None, "", None, sample)
        return Source(lab, self.href(lab), self.proof(lab), None)


Find = Callable[[], Finder]


class FigureBlock(Block):
    """A picture, its table, and its caption: the block's text."""

    NAME = "figure"
    ARGUMENT = True

    def on_validate(self, _parent: ET.Element) -> bool:
        """A block that cannot be drawn stays text; the gate has already reported it."""
        named = figure_marks.FIGURE.match(f"| {self.argument}")
        if not named:
            return False
        self.kind = named["kind"]
        try:
            self.drawn: Drawn = self.config["find"]().figure(self.kind, named["name"])
        except HandbookError:
            return False
        return True

    def on_create(self, parent: ET.Element) -> ET.Element:
        """The picture is kept away from Markdown; the caption is Markdown."""
        figure = ET.SubElement(parent, "figure", {"class": f"figure figure--{self.kind}"})
        # A block element around it: Markdown would leave a paragraph around an SVG.
        picture = f'<div class="figure__picture">\n{self.drawn.html}\n</div>'
        ET.SubElement(figure, "p").text = self.md.htmlStash.store(picture)
        ET.SubElement(figure, "figcaption", {"class": "figure__caption"})
        return figure

    def on_add(self, block: ET.Element) -> ET.Element:
        """What is written in the block goes into the caption."""
        return block[-1]

    def on_end(self, block: ET.Element) -> None:
        """The caption ends by saying where the data come from."""
        if (source := _source(self.drawn.source)) is not None:
            block[-1].append(source)


def _source(source: Source) -> ET.Element | None:
    if source.sample:
        return element(
            "p", {"class": "figure__source"}, AtomicString(f"본보기 자료: {source.sample}")
        )
    if source.lab is None or source.provenance is None:
        return None
    css = "proof--verified" if source.provenance.verified else "proof--unverified"
    return element(
        "p",
        {"class": "figure__source"},
        element("a", {"href": source.href}, AtomicString(f"실습 {source.lab}의 기록")),
        " ",
        element("span", {"class": f"proof {css}"}, AtomicString(source.provenance.text)),
    )


class PredictBlock(Block):
    """A question, three choices, and why; which one is right is read from the lab."""

    NAME = "predict"
    ARGUMENT = True
    OPTIONS = {"answer": ("", type_string)}  # noqa: RUF012

    def on_validate(self, _parent: ET.Element) -> bool:
        """A block whose answer cannot be found stays text; the gate has already reported it."""
        named = figure_marks.PREDICT.match(f"| {self.argument}")
        if not named:
            return False
        self.lab, self.cell = named["lab"], named["cell"]
        self.finder: Finder = self.config["find"]()
        try:
            self.answer = self.finder.answer(self.lab, self.cell, self.options["answer"])
        except HandbookError:
            return False
        return True

    def on_create(self, parent: ET.Element) -> ET.Element:
        """A box that Markdown fills first."""
        return ET.SubElement(parent, "div")

    def on_end(self, block: ET.Element) -> None:
        """Turn the paragraphs and the list into the card; their inline Markdown comes later."""
        parts = list(block)
        listed = next((part for part in parts if part.tag == "ul"), None)
        choices = [_text(item) for item in listed] if listed is not None else []
        try:
            right = prediction.choose(choices, self.answer[0])
        except HandbookError:
            return
        cut = parts.index(listed) if listed is not None else 0
        question = " ".join(map(_text, parts[:cut]))
        card = prediction.card(
            prediction.Prediction(
                name=f"predict-{self.cell}-{crc32(question.encode()):x}",
                question=question,
                choices=choices,
                right=right,
                printed=AtomicString(self.answer[1]),
                lab=AtomicString(self.lab),
                href=f"{self.finder.href(self.lab)}#{self.cell}",
                why=[_text(part) for part in parts[cut + 1 :]],
            )
        )
        block.clear()
        block.attrib.update(card.attrib)
        block.extend(card)


def _text(part: ET.Element) -> str:
    """Markdown that is not yet rendered; a loose list keeps it in a paragraph."""
    return "".join(part.itertext()).strip()


class FigureExtension(BlocksExtension):
    """Registers both blocks with what finds their data."""

    def __init__(self, find: Find) -> None:
        self.find = find
        super().__init__()  # type: ignore[no-untyped-call]

    def extendMarkdownBlocks(self, _md: Markdown, block_mgr: BlocksProcessor) -> None:  # noqa: N802
        """Called by pymdownx for each page."""
        for block in (FigureBlock, PredictBlock):
            block_mgr.register(block, {"find": self.find})
