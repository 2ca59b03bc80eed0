"""A lab's page from the HTML that mkdocs-jupyter makes of it, in the site's own, small markup.

mkdocs-jupyter brings JupyterLab's markup, 590 KB of styles, a copy button of its own, MathJax and
Mermaid from a CDN, and empty ids for Korean headings. Its highlighted sources and its prose are
kept; outputs are rendered as in embedded cells. So nothing of the styles is needed any more.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from typing import Any

from bs4 import BeautifulSoup, Tag
from pymdownx.slugs import slugify

from handbook.notebooks.store import Notebook
from handbook.site import outputs
from handbook.site.provenance import Provenance

BODY = '<div class="jupyter-wrapper">'
CELL = re.compile(r'<div class="[^"]*" id="cell-id=(?P<id>[^"]+)">')
PROSE = '<div class="jp-RenderedHTMLCommon jp-RenderedMarkdown jp-MarkdownOutput"'
# Pygments escapes every `<` of the code, so its block ends at the first `</pre>`. Parsing its many
# small spans as HTML would cost more than all the rest of the page.
SOURCE = re.compile(r'<div class="highlight-ipynb[^"]*"><pre>(?P<code>.*?)</pre></div>', re.DOTALL)
HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
# Taken away, or changed, by the client of `handbook serve`.
HOW_TO_RUN = "셀을 실행하려면 터미널에서 <code>make serve</code>를 실행하고 나온 주소를 엽니다."
PERMALINK = "이 자리의 주소"

slug: Callable[[str, str], str] = slugify(case="lower")  # type: ignore[no-untyped-call]
Rewrite = Callable[[str], str]


@dataclass(frozen=True)
class LabPage:
    """The page's parts that MkDocs wants; `toc` as Python-Markdown's `toc_tokens`."""

    content: str
    title: str | None
    toc: list[dict[str, Any]]
    ids: set[str]


@dataclass
class _Outline:
    """Headings as a tree, their ids unique in the page."""

    used: set[str]
    tokens: list[dict[str, Any]] = field(default_factory=list)
    title: str | None = None

    def unique(self, wanted: str) -> str:
        name, number = wanted or "section", 1
        while name in self.used:
            number += 1
            name = f"{wanted or 'section'}-{number}"
        self.used.add(name)
        return name

    def add(self, level: int, anchor: str, name: str) -> None:
        if level == 1 and self.title is None:
            self.title = name
        siblings = self.tokens
        while siblings and siblings[-1]["level"] < level:
            siblings = siblings[-1]["children"]
        siblings.append({"level": level, "id": anchor, "name": name, "children": []})


def convert(html: str, lab: Notebook, *, proof: Provenance, rewrite: Rewrite) -> LabPage:
    """The lab's page. Each cell's id is an anchor; a cell's first heading carries it.

    Args:
        html: what mkdocs-jupyter rendered.
        lab: the lab, for the outputs.
        proof: where the outputs come from; shown below the title.
        rewrite: turns the target of a link in the lab's prose into the site's.
    """
    outline = _Outline(used={cell.id for cell in lab.cells})
    parts: list[str] = []
    _, *pieces = CELL.split(html.partition(BODY)[2])
    for name, piece in zip(pieces[::2], pieces[1::2], strict=True):
        if PROSE in piece:
            # Without a frame: the search gives a section only what stands beside its heading.
            parts.append(_prose(piece, name, outline, rewrite))
        else:
            inner = _code(piece, name) + outputs.to_html(lab.cell(name).outputs)
            parts.append(f'<div class="lab-cell" data-cell="{escape(name)}">\n{inner}\n</div>')
    title, end, rest = "\n".join(parts).partition("</h1>")
    how = f'<p class="lab-how">{HOW_TO_RUN}</p>'
    content = f'{title}{end}\n<p class="lab-proof">{_proof(proof)}</p>\n{how}\n{rest}'
    return LabPage(content, outline.title, outline.tokens, outline.used)


def _prose(piece: str, name: str, outline: _Outline, rewrite: Rewrite) -> str:
    soup = BeautifulSoup(piece[piece.index(PROSE) :], "html.parser")
    prose = soup.find("div")
    assert isinstance(prose, Tag)
    for link in prose.select("a.anchor-link"):
        link.decompose()
    headings = prose.find_all(HEADINGS)
    for index, heading in enumerate(headings):
        text = heading.get_text().strip()
        heading["id"] = outline.unique(slug(text, "-")) if index else name
        outline.add(int(heading.name[1]), heading["id"], text)
        heading.append(_permalink(soup, heading["id"]))
    for link in prose.find_all("a", href=True):
        link["href"] = rewrite(str(link["href"]))
    for block in prose.select(".highlight pre"):
        _as_code(soup, block)
    html = prose.decode_contents().strip()
    return html if headings else f'<div id="{escape(name)}">\n{html}\n</div>'


def _permalink(soup: BeautifulSoup, anchor: str) -> Tag:
    values = {"class": "headerlink", "href": f"#{anchor}", "title": PERMALINK}
    link = soup.new_tag("a", attrs=values)
    link.string = "¶"
    return link


def _code(piece: str, name: str) -> str:
    anchor, source = escape(name), SOURCE.search(piece)
    if source is None:
        return f'<div id="{anchor}"></div>\n'
    title = f'<span class="filename"><a href="#{anchor}">{anchor}</a></span>'
    block = f"<pre><code>{source['code']}</code></pre>"
    return f'<div class="language-python highlight" id="{anchor}">{title}{block}</div>\n'


def _as_code(soup: BeautifulSoup, block: Tag) -> None:
    """Give `pre` the `code` inside that the theme's copy button and styles look for."""
    code = soup.new_tag("code")
    code.extend(list(block.contents))
    block.append(code)


def _proof(proof: Provenance) -> str:
    kind = "verified" if proof.verified else "unverified"
    return f'<span class="proof proof--{kind}">{escape(proof.text)}</span>'
