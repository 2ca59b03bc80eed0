"""`/// cell | lab#cell`: a lab's cell inside a page, as a `pymdownx.blocks` extension.

It renders only. What is wrong with a block is found by `gates`, which knows file and line.
"""

from __future__ import annotations

import posixpath
import xml.etree.ElementTree as etree
from collections.abc import Callable
from dataclasses import dataclass

from markdown import Markdown
from markdown.util import AtomicString
from pymdownx.blocks import BlocksExtension
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

    def on_validate(self, parent: etree.Element) -> bool:
        """A block whose cell cannot be found stays text; the gate has already reported it."""
        embed = marks.parse_embed(0, f"| {self.argument}", {})
        if not isinstance(embed, marks.Embed):
            return False
        try:
            self.shown: Shown = self.config["find"](embed.lab, embed.cell)
        except HandbookError:
            return False
        return True

    def on_create(self, parent: etree.Element) -> etree.Element:
        """A figure: source, output below it, and where both come from."""
        shown, part = self.shown, self.options["part"]
        figure = etree.SubElement(parent, "figure", {"class": "cell", "data-lab": shown.lab})
        figure.set("data-cell", shown.cell.id)
        if part != "output":
            self._raw(figure, self._source(shown))
        if part != "source":
            self._raw(figure, outputs.to_html(shown.cell.outputs))
        figure.append(_caption(shown))
        return figure

    def _source(self, shown: Shown) -> str:
        settings = next(
            extension.get_pymdownx_highlight_settings()
            for extension in self.md.registeredExtensions
            if isinstance(extension, HighlightExtension)
        )
        highlighter = HighlightExtension().get_pymdownx_highlighter()
        title = f"{shown.lab} · {shown.cell.id}"
        known = {name: settings[name] for name in ("use_pygments", "pygments_lang_class")}
        html = highlighter(self.md, **known).highlight(
            shown.cell.source, "python", settings["css_class"], title=title
        )
        return str(html)

    def _raw(self, figure: etree.Element, html: str) -> None:
        etree.SubElement(figure, "p").text = self.md.htmlStash.store(html)


def _caption(shown: Shown) -> etree.Element:
    caption = etree.Element("figcaption", {"class": "cell__caption"})
    link = etree.SubElement(caption, "a", {"href": f"{shown.href}#{shown.cell.id}"})
    link.text = AtomicString(f"실습 {shown.lab}의 셀")
    proof = etree.SubElement(caption, "span", {"class": _proof_class(shown.provenance)})
    proof.text = AtomicString(shown.provenance.text)
    return caption


def _proof_class(provenance: Provenance) -> str:
    return "proof proof--verified" if provenance.verified else "proof proof--unverified"


class CellExtension(BlocksExtension):
    """Registers the block with the function that finds cells."""

    def __init__(self, find: Find) -> None:
        self.find = find
        super().__init__()

    def extendMarkdownBlocks(self, md: Markdown, block_mgr: object) -> None:  # noqa: N802
        """Called by pymdownx for each page."""
        block_mgr.register(CellBlock, {"find": self.find})  # type: ignore[attr-defined]


def finder(project: Project, page: str, proof: Callable[[str], Provenance]) -> Find:
    """Looks cells up for `page`; links are relative to it, as a writer would type them."""

    def find(lab: str, cell: str) -> Shown:
        found = project.lab(lab).cell(cell)
        href = posixpath.relpath(f"labs/{lab}.ipynb", posixpath.dirname(page) or ".")
        return Shown(found, lab, href, proof(lab))

    return find
