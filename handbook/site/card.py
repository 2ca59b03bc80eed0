"""The card below a topic's title: its answer, and what a reader needs to know before reading on.

The answer is the page's own first paragraph; the facts come from the front matter and from the
last check of the labs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from handbook.site import anatomy, front_matter, source
from handbook.site.project import Project, lab_title
from handbook.site.provenance import UNVERIFIED, Provenance

LABEL = "이 글의 답과 준비"
NOTHING = "없음"
TITLE = re.compile(r"^# +(?P<title>.+?)(?: +\{[^{}]*\})? *$", re.MULTILINE)


@dataclass(frozen=True)
class Card:
    """What the card says; texts are inline Markdown."""

    minutes: int
    before: tuple[str, ...]
    labs: tuple[str, ...]
    proofs: tuple[Provenance, ...]


def of_page(
    project: Project,
    page: str,
    values: front_matter.FrontMatter,
    proof: Callable[[str], Provenance],
    to: Callable[[str], str],
) -> Card | None:
    """The card of a topic; None for other pages, and for one that does not say how long it takes.

    Args:
        project: the checkout.
        page: relative to `docs/`.
        values: the page's front matter.
        proof: when a lab was last verified.
        to: a link from the page to another source file of the site.
    """
    minutes = values.values.get("minutes")
    if anatomy.kind(page) != "topic" or not isinstance(minutes, int):
        return None
    known = set(project.labs())
    labs = [lab for lab in values.words("labs") if lab in known]
    return Card(
        minutes=minutes,
        before=tuple(_read_first(project, entry, to) for entry in values.words("before")),
        labs=tuple(f"[{lab_title(project.lab(lab))}]({to(f'labs/{lab}.ipynb')})" for lab in labs),
        proofs=tuple(map(proof, labs)),
    )


def _read_first(project: Project, entry: str, to: Callable[[str], str]) -> str:
    file = project.docs / entry
    if not entry.endswith(".md") or not file.is_file():
        return entry
    title = TITLE.search(file.read_text("utf-8"))
    return f"[{title['title'] if title else entry}]({to(entry)})"


def insert(markdown: str, card: Card) -> str:
    """The page with its card: around the answer, which stays the page's own paragraph."""
    page = source.lines(markdown)
    found = _answer(page)
    if not found:
        return markdown
    lines = markdown.split("\n")
    first, last = found[0].number - 1, found[-1].number
    return "\n".join([*lines[:first], _markdown(card, lines[first:last]), *lines[last:]])


def _answer(page: list[source.Line]) -> list[source.Line]:
    """The first paragraph below the title, when nothing else comes before it."""
    below = iter(page)
    for line in below:
        if line.kind == "heading":
            break
    paragraph: list[source.Line] = []
    for line in below:
        if line.kind == "text":
            paragraph.append(line)
        elif paragraph or line.kind != "blank":
            break
    return paragraph


def _markdown(card: Card, answer: list[str]) -> str:
    facts = "\n".join(f"<div markdown>\n{row}\n</div>" for row in _facts(card))
    return "\n".join(
        [
            f'<section class="page-card" aria-label="{LABEL}" markdown>',
            "",
            '<div class="page-card__answer" markdown>',
            "",
            '<p class="page-card__label">답</p>',
            "",
            *answer,
            "",
            "</div>",
            "",
            '<dl class="page-card__facts" markdown>',
            facts,
            "</dl>",
            "",
            "</section>",
        ]
    )


def _facts(card: Card) -> Iterator[str]:
    yield _fact("소요 시간", f"{card.minutes}분")
    yield _fact("먼저 읽을 것", ", ".join(card.before) or NOTHING)
    yield _fact("실습", ", ".join(card.labs) or NOTHING)
    if card.labs:
        yield _fact("마지막 검증", *_verified(card.proofs))


def _verified(proofs: tuple[Provenance, ...]) -> tuple[str, str]:
    """One lab that was not verified makes the whole page unverified."""
    if not all(proof.verified for proof in proofs):
        return UNVERIFIED, "proof proof--unverified"
    return ", ".join(dict.fromkeys(proof.text for proof in proofs)), "proof proof--verified"


def _fact(name: str, text: str, css: str = "") -> str:
    shown = f'<span class="{css}">{text}</span>' if css else text
    return f'<dt>{name}</dt>\n<dd markdown="span">{shown}</dd>'
