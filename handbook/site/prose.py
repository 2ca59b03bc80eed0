"""Gate over the prose of pages and labs: voice, spacing, length, terms, boxes.

A finding that is right where it stands is excused by `<!-- prose: REASON -->` at the end of its
line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from handbook.notebooks.store import Notebook
from handbook.site import anatomy, introductions, sentences, source
from handbook.site.problems import Problem
from handbook.site.project import Project
from handbook.site.prose_rules import HANGUL, RULES, Finding
from handbook.site.terms import Term

WAIVER = re.compile(r"[ \t]*<!--\s*prose:\s*(?P<reason>.*?)\s*-->")
SHORTEST_REASON = 10
BOX = re.compile(r"^(?P<indent>\s*)!{3}\s")
BLOCK_BOX = re.compile(r"^(?P<indent>\s*)/{3,}\s*(?!cell\b|figure\b|predict\b|details\b|tab\b)\w")
BLOCK_END = re.compile(r"^\s*/{3,}\s*$")
VOLUME = range(900, 1601)


def check_page(page: str, text: str, terms: Sequence[Term]) -> list[Problem]:
    """Everything wrong in the prose of one page; topics introduce their terms."""
    introduced = terms if anatomy.kind(page) == "topic" else ()
    return [_problem(f"docs/{page}", found) for found in check(text, introduced)]


def check_lab(lab: Notebook, terms: Sequence[Term]) -> list[Problem]:
    """Everything wrong in the prose of one lab, by cell and line; terms count in the whole lab."""
    problems = []
    known = frozenset[str]()
    for cell in lab.cells:
        if cell.kind == "markdown":
            found = check(cell.source, [term for term in terms if term.term not in known])
            known |= introductions.mentioned(sentences.read(cell.source), terms)
            problems += [_problem(f"notebooks/{lab.name}.ipynb#{cell.id}", f) for f in found]
    return problems


def _problem(file: str, found: Finding) -> Problem:
    return Problem(f"{file}:{found.line}", found.what, found.next_step)


def check(text: str, terms: Sequence[Term] = ()) -> list[Finding]:
    """Everything wrong in a Markdown text, but for what is excused; and excuses nobody needs.

    Args:
        text: the whole source.
        terms: those that the text has to introduce.
    """
    read = sentences.read(text)
    found = [finding for sentence in read for rule in RULES for finding in rule(sentence)]
    found += introductions.check(read, terms)
    found += boxes(source.lines(text))
    return list(excused(text, found))


def boxes(lines: list[source.Line]) -> Iterator[Finding]:
    """Never two admonitions in a row: the second is not read any more."""
    inside: str | None = None  # the indentation of the box that we are in
    after = False
    for line in lines:
        if line.kind == "blank":
            continue
        box = BOX.match(line.text)
        block = BLOCK_BOX.match(line.text) if line.kind == "mark" else None
        if inside is not None and not box and _within(line, inside):
            continue
        if inside == "///" and not BLOCK_END.match(line.text):
            continue
        if (box or block) and after:
            yield Finding(
                "boxes",
                line.number,
                line.number,
                "two boxes stand in a row",
                "join them, or put a sentence between them",
            )
        after = bool(box or block) or inside == "///"
        inside = box["indent"] if box else "///" if block else None


def _within(line: source.Line, indent: str) -> bool:
    return indent != "///" and line.text.startswith(indent + "    ")


def excused(text: str, found: Iterable[Finding]) -> Iterator[Finding]:
    """The findings without an excuse on their lines, and the excuses without a finding."""
    excuses = dict(_excuses(text))
    used: set[int] = set()
    for finding in found:
        lines = set(range(finding.line, finding.last_line + 1)) & set(excuses)
        used |= lines
        if not lines:
            yield finding
    for line, reason in excuses.items():
        if len(reason) < SHORTEST_REASON:
            step = "say in a sentence why the line is right"
            yield Finding("excuse", line, line, "the excuse gives no reason", step)
        elif line not in used:
            step = "remove the comment"
            yield Finding("excuse", line, line, "`<!-- prose: … -->` excuses nothing", step)


def _excuses(text: str) -> Iterator[tuple[int, str]]:
    coded = {line.number for line in source.lines(text) if line.kind == "code"}
    for number, line in enumerate(text.splitlines(), start=1):
        found = WAIVER.search(line)
        if found and number not in coded:
            yield number, found["reason"]


def without_excuses(markdown: str) -> str:
    """The text as it is published."""
    return WAIVER.sub("", markdown)


def syllables(text: str) -> int:
    """How much there is to read, in syllables: prose without tables and code."""
    return sum(len(HANGUL.findall(sentence.text)) for sentence in sentences.read(text))


def volumes(project: Project) -> list[Problem]:
    """Topics that are shorter or longer than a reader expects: a hint, no fault."""
    found = []
    for page in project.pages():
        text = (project.docs / page).read_text("utf-8")
        if anatomy.kind(page) == "topic" and (count := syllables(text)) not in VOLUME:
            step = (
                f"topics have {VOLUME.start} to {VOLUME.stop - 1}; split it, or leave something out"
            )
            found.append(Problem(f"docs/{page}", f"the page has {count} syllables", step))
    return found
