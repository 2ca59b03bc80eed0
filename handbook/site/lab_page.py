"""A lab's page from the HTML that mkdocs-jupyter makes of it: the site's own, small markup.

mkdocs-jupyter brings JupyterLab's markup, 590 KB of styles, a copy button of its own, MathJax and
Mermaid from a CDN, and empty ids for Korean headings. What a page needs is kept and put into the
markup that the rest of the site uses; what remains of the styles is left to `styles`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bs4 import BeautifulSoup, Tag
from pymdownx.slugs import slugify

from handbook.site.provenance import Provenance

BODY = '<div class="jupyter-wrapper">'
STYLE = re.compile(r"<style[^>]*>(.*?)</style>", re.DOTALL)
BIG = 3_000
CELL_ID = "cell-id="
HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
PERMALINK = "이 자리의 주소"

slug = slugify(case="lower")
Rewrite = Callable[[str], str]


@dataclass
class LabPage:
    """The page's parts that MkDocs wants."""

    content: str
    title: str | None
    toc: list[dict[str, Any]]
    ids: set[str]
    styles: list[str]


@dataclass
class _Outline:
    """Headings as Python-Markdown's `toc_tokens`, ids unique in the page."""

    tokens: list[dict[str, Any]] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    title: str | None = None

    def unique(self, wanted: str) -> str:
        name, number = wanted or "section", 1
        while name in self.used:
            number += 1
            name = f"{wanted or 'section'}_{number}"
        self.used.add(name)
        return name

    def add(self, level: int, anchor: str, name: str) -> None:
        if level == 1 and self.title is None:
            self.title = name
        siblings = self.tokens
        while siblings and siblings[-1]["level"] < level:
            siblings = siblings[-1]["children"]
        siblings.append({"level": level, "id": anchor, "name": name, "children": []})


def convert(html: str, *, proof: Provenance, rewrite: Rewrite) -> LabPage:
    """The lab's page.

    Args:
        html: what mkdocs-jupyter rendered.
        proof: where the outputs come from; shown below the title.
        rewrite: turns the target of a link in the lab's prose into the site's.
    """
    head, _, body = html.partition(BODY)
    soup = BeautifulSoup(BODY + body, "html.parser")
    cells = soup.find_all("div", id=re.compile(f"^{re.escape(CELL_ID)}"))
    outline = _Outline(used={str(cell["id"]).removeprefix(CELL_ID) for cell in cells})
    sections = [_cell(soup, cell, outline, rewrite) for cell in cells]
    _show_proof(soup, sections, proof)
    content = "\n".join(str(section) for section in sections)
    styles = [css for css in STYLE.findall(head) if len(css) > BIG]
    return LabPage(content, outline.title, outline.tokens, outline.used, styles)


def _cell(soup: BeautifulSoup, cell: Tag, outline: _Outline, rewrite: Rewrite) -> Tag:
    name = str(cell["id"]).removeprefix(CELL_ID)
    prose = cell.select_one(".jp-MarkdownOutput")
    kind = "code" if prose is None else "prose"
    section = soup.new_tag("div", attrs={"class": f"lab-cell lab-cell--{kind}", "data-cell": name})
    if prose is None:
        section["id"] = name
        _code(soup, cell, section, name)
    else:
        _prose(soup, prose, section, name, outline, rewrite)
    return section


def _prose(
    soup: BeautifulSoup,
    prose: Tag,
    section: Tag,
    name: str,
    outline: _Outline,
    rewrite: Rewrite,
) -> None:
    for anchor in prose.select("a.anchor-link"):
        anchor.decompose()
    for index, heading in enumerate(prose.find_all(HEADINGS)):
        text = heading.get_text().strip()
        anchor = name if index == 0 else outline.unique(slug(text, "-"))
        heading["id"] = anchor
        heading.append(_permalink(soup, anchor))
        outline.add(int(heading.name[1]), anchor, text)
    if not prose.find(HEADINGS):
        section["id"] = name
    for link in prose.find_all("a", href=True):
        link["href"] = rewrite(str(link["href"]))
    for block in prose.select(".highlight pre"):
        _as_code(soup, block)
    section.extend(list(prose.contents))


def _permalink(soup: BeautifulSoup, anchor: str) -> Tag:
    link = soup.new_tag(
        "a", attrs={"class": "headerlink", "href": f"#{anchor}", "title": PERMALINK}
    )
    link.string = "¶"
    return link


def _code(soup: BeautifulSoup, cell: Tag, section: Tag, name: str) -> None:
    if source := cell.select_one(".highlight-ipynb"):
        source["class"] = "language-python highlight"
        title = soup.new_tag("span", attrs={"class": "filename"})
        link = soup.new_tag("a", attrs={"href": f"#{name}"})
        link.string = name
        title.append(link)
        if block := source.find("pre"):
            _as_code(soup, block)
            block.insert_before(title)
        section.append(source)
    if shown := cell.select(".jp-OutputArea-output"):
        group = soup.new_tag(
            "div", attrs={"class": "cell-output", "role": "group", "aria-label": "출력"}
        )
        group.extend(_output(soup, output) for output in shown)
        section.append(group)


def _as_code(soup: BeautifulSoup, block: Tag) -> None:
    """Give `pre` the `code` inside that the theme's copy button and styles look for."""
    code = soup.new_tag("code")
    code.extend(list(block.contents))
    block.append(code)


def _output(soup: BeautifulSoup, output: Tag) -> Tag:
    block = output.find("pre", recursive=False)
    if block is None:
        html = soup.new_tag("div", attrs={"class": "cell-output__html"})
        html.extend(list(output.contents))
        return html
    samp = soup.new_tag("samp")
    samp.extend(list(block.contents))
    text = soup.new_tag("pre", attrs={"class": "cell-output__text", "tabindex": "0"})
    text.append(samp)
    return text


def _show_proof(soup: BeautifulSoup, sections: list[Tag], proof: Provenance) -> None:
    line = soup.new_tag("p", attrs={"class": "lab-proof"})
    mark = soup.new_tag(
        "span", attrs={"class": f"proof proof--{'verified' if proof.verified else 'unverified'}"}
    )
    mark.string = proof.text
    line.append(mark)
    title = next((found for section in sections if (found := section.find("h1"))), None)
    if title is not None:
        title.insert_after(line)
    elif sections:
        sections[0].insert_before(line)
