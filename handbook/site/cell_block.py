"""`/// cell | lab#cell`: a lab's cell inside a page, as a `pymdownx.blocks` extension.

It renders only. What is wrong with a block is found by `gates`, which knows file and line.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

from markdown import Markdown
from markdown.util import AtomicString
from pymdownx.blocks import BlocksExtension, BlocksProcessor
from pymdownx.blocks.block import Block, type_string_in
from pymdownx.highlight import HighlightExtension

from handbook.errors import HandbookError
from handbook.notebooks.store import Cell
from handbook.site import marks, outputs
from handbook.site.project import Project
from handbook.site.provenance import Provenance


@dataclass(frozen=True)
class Shown:
    """Everything needed to show one cell on one page."""

    cell: Cell
    lab: str
    href: str
    provenance: Provenance


Find = Callable[[str, str], Shown]


class CellBlock(Block):
    """The block. `config["find"]` looks the cell up for the page that is being rendered."""

    NAME = "cell"
    ARGUMENT = True
    OPTIONS = {"part": ("both", type_string_in(["source", "output", "both"]))}  # noqa: RUF012

    def on_validate(self, _parent: ET.Element) -> bool:
        """A block whose cell cannot be found stays text; the gate has already reported it."""
        embed = marks.parse_embed(0, f"| {self.argument}", {})
        if not isinstance(embed, marks.Embed):
            return False
        try:
            self.shown: Shown = self.config["find"](embed.lab, embed.cell)
        except HandbookError:
            return False
        return True

    def on_create(self, parent: ET.Element) -> ET.Element:
        """A figure: source, output below it, and where both come from."""
        shown, part = self.shown, self.options["part"]
        figure = ET.SubElement(parent, "figure", {"class": "cell", "data-lab": shown.lab})
        figure.set("data-cell", shown.cell.id)
        if part != "output":
            self._raw(figure, self._source(shown))
        if part != "source":
            self._raw(figure, outputs.to_html(shown.cell.outputs))
        figure.append(_caption(shown))
        return figure

    def _source(self, shown: Shown) -> str:
        highlight: Any = next(
            extension
            for extension in self.md.registeredExtensions
            if isinstance(extension, HighlightExtension)
        )
        settings = highlight.get_pymdownx_highlight_settings()
        title = f"{shown.lab} · {shown.cell.id}"
        known = {name: settings[name] for name in ("use_pygments", "pygments_lang_class")}
        html = highlight.get_pymdownx_highlighter()(self.md, **known).highlight(
            shown.cell.source, "python", settings["css_class"], title=title
        )
        return str(html)

    def _raw(self, figure: ET.Element, html: str) -> None:
        ET.SubElement(figure, "p").text = self.md.htmlStash.store(html)


def _caption(shown: Shown) -> ET.Element:
    caption = ET.Element("figcaption", {"class": "cell__caption"})
    link = ET.SubElement(caption, "a", {"href": f"{shown.href}#{shown.cell.id}"})
    link.text = AtomicString(f"실습 {shown.lab}의 셀")
    proof = ET.SubElement(caption, "span", {"class": _proof_class(shown.provenance)})
    proof.text = AtomicString(shown.provenance.text)
    return caption


def _proof_class(provenance: Provenance) -> str:
    return "proof proof--verified" if provenance.verified else "proof proof--unverified"


class CellExtension(BlocksExtension):
    """Registers the block with the function that finds cells."""

    def __init__(self, find: Find) -> None:
        self.find = find
        super().__init__()  # type: ignore[no-untyped-call]

    def extendMarkdownBlocks(self, _md: Markdown, block_mgr: BlocksProcessor) -> None:  # noqa: N802
        """Called by pymdownx for each page."""
        block_mgr.register(CellBlock, {"find": self.find})


def finder(project: Project, page: str, proof: Callable[[str], Provenance]) -> Find:
    """Looks cells up for `page`; links are relative to it, as a writer would type them."""

    def find(lab: str, cell: str) -> Shown:
        found = project.lab(lab).cell(cell)
        href = posixpath.relpath(f"labs/{lab}.ipynb", posixpath.dirname(page) or ".")
        return Shown(found, lab, href, proof(lab))

    return find
