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
from handbook.site.terms import Term, other_forms

WAIVER = re.compile(r"[ \t]*<!--\s*prose:\s*(?P<reason>.*?)\s*-->")
EXCUSE = re.compile(r"[ \t]*<!--\s*(?:prose|terms):.*?-->")
SHORTEST_REASON = 10
BOX = re.compile(r"^(?P<indent>\s*)!{3}\s")
BLOCK_BOX = re.compile(
    r"^\s*(?P<slashes>/{3,})\s*(?!(?:cell|figure|predict|details|tab|caption|html)\b)\w"
)
VOLUME = range(900, 1601)


def check_page(page: str, text: str, terms: Sequence[Term]) -> list[Problem]:
    """Everything wrong in the prose of one page; topics introduce their terms."""
    introduced = terms if anatomy.kind(page) == "topic" else ()
    return [_problem(f"docs/{page}", found) for found in check(text, introduced, terms)]


def check_lab(lab: Notebook, terms: Sequence[Term]) -> list[Problem]:
    """Everything wrong in the prose of one lab, by cell and line; terms count in the whole lab."""
    problems = []
    known = frozenset[str]()
    for cell in lab.cells:
        if cell.kind == "markdown":
            unknown = [term for term in terms if term.term not in known]
            found = check(cell.source, unknown, terms)
            known |= introductions.mentioned(sentences.read(cell.source), terms)
            problems += [_problem(f"notebooks/{lab.name}.ipynb#{cell.id}", f) for f in found]
    return problems


def _problem(file: str, found: Finding) -> Problem:
    return Problem(f"{file}:{found.line}", found.what, found.next_step)


def check(text: str, terms: Sequence[Term] = (), preferred: Iterable[Term] = ()) -> list[Finding]:
    """Everything wrong in a Markdown text, but for what is excused; and excuses nobody needs.

    Args:
        text: the whole source.
        terms: those that the text has to introduce.
        preferred: those whose other forms it must not use.
    """
    read = sentences.read(text)
    found = [finding for sentence in read for rule in RULES for finding in rule(sentence)]
    found += introductions.check(read, terms)
    found += boxes(source.lines(text))
    found += other_forms(source.lines(text), preferred)
    return list(excused(text, found))


def boxes(lines: list[source.Line]) -> Iterator[Finding]:
    """Never two admonitions in a row: the second is not read any more."""
    box: str | None = None  # how the box goes on: its indentation, or the slashes that close it
    just_ended = False
    for line in (line for line in lines if line.kind != "blank"):
        if box is not None and box.startswith("/"):
            if line.text.strip() == box:
                box, just_ended = None, True
            continue
        if box is not None:
            if line.text.startswith(box):
                continue
            just_ended = True
        box = _opened(line)
        if box and just_ended:
            step = "join them, or put a sentence between them"
            yield Finding("boxes", line.number, line.number, "two boxes stand in a row", step)
        just_ended = False


def _opened(line: source.Line) -> str | None:
    if line.kind != "mark":
        return None
    if found := BOX.match(line.text):
        return found["indent"] + "    "
    block = BLOCK_BOX.match(line.text)
    return block["slashes"] if block else None


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
    """The text as it is published: without what is written for the gates."""
    coded = {line.number for line in source.lines(markdown) if line.kind == "code"}
    return "\n".join(
        line if number in coded else EXCUSE.sub("", line)
        for number, line in enumerate(markdown.split("\n"), start=1)
    )


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
