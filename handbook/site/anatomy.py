"""The form of a page: which parts it has, in which order, and what each part must hold.

Topics have the full form; decisions have headings of their own; other pages are free. A part that
a page cannot have is waived in its front matter, with the reason, and the coverage page says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal
from urllib.parse import urlsplit

from handbook.errors import UsageError
from handbook.notebooks.store import Cell
from handbook.site import figure_marks, front_matter, marks, proofs, source
from handbook.site.front_matter import FrontMatter
from handbook.site.problems import Problem
from handbook.site.project import Project

Kind = Literal["topic", "decision", "free"]

FREE_FOLDERS = frozenset({"reference", "labs", "start"})
DECISION = re.compile(r"^reference/decisions/\d{4}-[a-z0-9-]+\.md$")
DECISION_PARTS = ("context", "decision", "alternatives", "consequences", "revisit")
STATUS = re.compile(r"^\*\*상태\.\*\* (?:제안|채택|대체됨)")
ANCHOR = re.compile(r"^[a-z][a-z0-9-]*$")
SENTENCE_END = re.compile(r"[.?!](?=\s|$)")
DETAILS = re.compile(r"^(?:\?{3}\+?\s|/{3,}\s*details\b)")
NUMBERED = re.compile(r"^\d+[.)]\s")
LAB_LINK = re.compile(r"\((?:[^()\s]*/)?(?P<lab>\d{2}-[a-z0-9-]+)\.ipynb#(?P<cell>[\w-]+)\)")
LINK = re.compile(r"\]\((?P<address>https://[^\s)]+)")
NUMBER = re.compile(r"\d[\d,.]*\d|\d")
COUNTED = ("하나 한", "둘 두", "셋 세", "넷 네", "다섯", "여섯", "일곱", "여덟", "아홉", "열")
KOREAN_NUMBERS = {
    word: str(number) for number, words in enumerate(COUNTED, start=1) for word in words.split()
}
MOST_SENTENCES = 3
MOST_PITFALLS = 5
QUESTIONS = 3
PROOF_COLUMN = "증명"
NOT = "않"

# Who says it about their own work: makers, standards, papers, and whoever named the pattern.
PRIMARY = frozenset(
    {
        "aiokafka.readthedocs.io",
        "arxiv.org",
        "aws.amazon.com",
        "cwiki.apache.org",
        "datatracker.ietf.org",
        "debezium.io",
        "dl.acm.org",
        "docs.aws.amazon.com",
        "docs.docker.com",
        "docs.python.org",
        "docs.stripe.com",
        "doi.org",
        "jepsen.io",
        "kafka.apache.org",
        "kubernetes.io",
        "learn.microsoft.com",
        "martinfowler.com",
        "microservices.io",
        "opentelemetry.io",
        "peps.python.org",
        "redis.io",
        "wiki.postgresql.org",
        "www.cs.cornell.edu",
        "www.iana.org",
        "www.iso.org",
        "www.law.go.kr",
        "www.melconway.com",
        "www.microsoft.com",
        "www.postgresql.org",
        "www.psycopg.org",
        "www.rfc-editor.org",
        "www.usenix.org",
        "www.vldb.org",
        "www.w3.org",
    }
)


def kind(page: str) -> Kind:
    """What form a page has, by the place where it stands. `page` is relative to `docs/`."""
    folder, _, name = page.rpartition("/")
    if DECISION.match(page):
        return "decision"
    top = folder.partition("/")[0]
    return "free" if not top or top in FREE_FOLDERS or name == "index.md" else "topic"


@dataclass(frozen=True)
class Section:
    """What stands below one heading, down to the next of its level."""

    heading: source.Heading
    lines: list[source.Line]

    @property
    def line(self) -> int:
        """Where it begins."""
        return self.heading.line

    def holds(self, line: int) -> bool:
        """Whether a line of the page belongs to it."""
        return bool(self.lines) and self.lines[0].number <= line <= self.lines[-1].number

    @property
    def tables(self) -> list[list[source.Line]]:
        """Its tables, each as its rows."""
        found: list[list[source.Line]] = []
        previous = ""
        for line in self.lines:
            if line.kind == "table" and previous == "table":
                found[-1].append(line)
            elif line.kind == "table":
                found.append([line])
            previous = line.kind
        return found


class Page:
    """A page's source, read once for all rules."""

    def __init__(self, project: Project, name: str, text: str) -> None:
        self.project = project
        self.name = name
        self.file = f"docs/{name}"
        self.kind = kind(name)
        self.front: FrontMatter = front_matter.read(text)
        self.lines = source.lines(text)
        self.headings = source.headings(self.lines)
        self.marks = marks.read(text)
        self.figures = figure_marks.read(text)

    def section(self, anchor: str) -> Section | None:
        """The section of that id; None when there is none."""
        return next((part for part in self.sections if part.heading.anchor == anchor), None)

    @cached_property
    def sections(self) -> list[Section]:
        """The sections of the second level."""
        starts = [heading for heading in self.headings if heading.level <= 2]
        ends = [heading.line for heading in starts[1:]] + [10**9]
        return [
            Section(start, [line for line in self.lines if start.line < line.number < end])
            for start, end in zip(starts, ends, strict=True)
            if start.level == 2
        ]

    @property
    def top(self) -> int:
        """The line of the title."""
        return self.headings[0].line if self.headings else 1


Fault = tuple[int, str, str]
Rule = Callable[[Page], Iterator[Fault]]


def check(project: Project, name: str, text: str) -> list[Problem]:
    """Everything in which a page breaks its form."""
    page = Page(project, name, text)
    topic = page.kind == "topic" and "anatomy" not in page.front.waived
    rules: dict[str, Rule] = {}
    if page.kind == "topic":
        rules = TOPIC
    elif page.kind == "decision":
        rules = {"decision": _decision}
    found = [*_headings(page)] + [
        Problem(f"{page.file}:{line}", what, step) for line, what, step in _parts(page, rules)
    ]
    return [*front_matter.check(project, name, page.front, topic=topic), *found]


def waivers(project: Project) -> list[tuple[str, str, str]]:
    """Every part that a page leaves out: page, part, reason."""
    return [
        (page, part, reason)
        for page in project.pages()
        for part, reason in front_matter.read(
            (project.docs / page).read_text("utf-8")
        ).waived.items()
    ]


def _parts(page: Page, rules: dict[str, Rule]) -> Iterator[Fault]:
    """What the rules find, but for what is waived; and waivers that nothing needs."""
    waived = page.front.waived
    found = {part: list(rule(page)) for part, rule in rules.items()}
    for part in waived:
        needed = any(found.values()) if part == "anatomy" else bool(found.get(part))
        if not needed and (part in rules or part == "anatomy"):
            yield page.front.line(part), f"`waive: {part}` excuses nothing", "remove the line"
    for part, faults in found.items():
        if part not in waived and "anatomy" not in waived:
            yield from faults


# What holds for every page


def _headings(page: Page) -> Iterator[Problem]:
    titles = [heading for heading in page.headings if heading.level == 1]
    if len(titles) != 1 or page.headings[0].level != 1:
        line = titles[1].line if len(titles) > 1 else page.top
        yield Problem(
            f"{page.file}:{line}",
            f"the page has {len(titles)} titles"
            if len(titles) != 1
            else "the title is not the first heading",
            "begin it with one `# …`, and use `##` and `###` below it",
        )
    seen: dict[str, int] = {}
    for heading in page.headings:
        where = f"{page.file}:{heading.line}"
        if heading.anchor is None:
            yield Problem(
                where,
                f"the heading «{heading.text}» has no id",
                "end it with an English id, such as `{#send-first}`",
            )
        elif not ANCHOR.match(heading.anchor):
            yield Problem(
                where,
                f"`#{heading.anchor}` is no English id",
                "use lower-case letters, digits and hyphens",
            )
        elif heading.anchor in seen:
            yield Problem(
                where,
                f"`#{heading.anchor}` already stands in line {seen[heading.anchor]}",
                "give each heading its own id",
            )
        if heading.anchor:
            seen.setdefault(heading.anchor, heading.line)


# Decisions


def _decision(page: Page) -> Iterator[Fault]:
    yield from _in_order(page, DECISION_PARTS)
    first = next((line for line in page.lines if line.kind == "text"), None)
    if first is None or not STATUS.match(first.text):
        yield (
            first.number if first else page.top,
            "the decision does not say its status first",
            "write `**상태.** 채택 (2026-11-23)`, 제안 or 대체됨 below the title",
        )


def _in_order(page: Page, parts: tuple[str, ...]) -> Iterator[Fault]:
    found = [part.heading for part in page.sections if part.heading.anchor in parts]
    for missing in (part for part in parts if page.section(part) is None):
        yield (
            page.top,
            f"the page has no section `#{missing}`",
            f"add `## … {{#{missing}}}`; see reference/writing/index.md",
        )
    expected = [part for part in parts if page.section(part)]
    for heading, part in zip(found, expected, strict=False):
        if heading.anchor != part:
            yield heading.line, *_misplaced(heading.anchor or "", parts)
            return


def _misplaced(anchor: str, parts: tuple[str, ...]) -> tuple[str, str]:
    return f"`#{anchor}` stands at the wrong place", f"the order is {', '.join(parts)}"


# Topics, part by part


def _answer(page: Page) -> Iterator[Fault]:
    """The text between title and first section: one paragraph of at most three sentences."""
    ends = next((heading.line for heading in page.headings if heading.level > 1), 10**9)
    above = [line for line in page.lines if page.top < line.number < ends]
    text = [line for line in above if line.kind == "text"]
    step = "answer the title below it in one paragraph of one to three sentences, a line each"
    if not text:
        yield page.top, "the title has no answer", step
        return
    inside = [line for line in above if text[0].number <= line.number <= text[-1].number]
    for line in above:
        if line.kind not in {"text", "blank"}:
            yield line.number, "the answer holds more than text", f"{step}; move the rest down"
            return
    if any(line.kind == "blank" for line in inside):
        yield text[0].number, "the answer has more than one paragraph", step
    count = sum(len(SENTENCE_END.findall(line.text)) for line in text)
    if count > MOST_SENTENCES:
        yield text[0].number, f"the answer has {count} sentences", step


def _section(anchor: str) -> Rule:
    """The section is there, and none that belongs before it comes after it."""

    def rule(page: Page) -> Iterator[Fault]:
        section = page.section(anchor)
        if section is None:
            yield (
                page.top,
                f"the page has no section `#{anchor}`",
                f"add `## {SECTIONS[anchor]} {{#{anchor}}}`, or waive `{anchor}` with a reason in "
                "the front matter",
            )
            return
        order = tuple(SECTIONS)
        later = order[order.index(anchor) + 1 :]
        if any(part.line < section.line for name in later if (part := page.section(name))):
            yield section.line, *_misplaced(anchor, order)

    return rule


def _picture(page: Page) -> Iterator[Fault]:
    section = page.section("what-breaks")
    if section and not any(
        block.block == "figure" and section.holds(block.line) for block in page.figures
    ):
        yield (
            section.line,
            "`#what-breaks` shows no picture",
            "add `/// figure | space-time trace/LAB/NAME.json` with a caption, or waive `picture`",
        )


def _prediction(page: Page) -> Iterator[Fault]:
    section = page.section("what-breaks")
    if section and not any(
        block.block == "predict" and section.holds(block.line) for block in page.figures
    ):
        yield (
            section.line,
            "`#what-breaks` does not let the reader predict",
            "add `/// predict | LAB#CELL` above the broken cell, or waive `prediction`",
        )


def _cell(anchor: str, part: str) -> Rule:
    """The section shows a cell with its output, of a lab that the front matter names."""

    def rule(page: Page) -> Iterator[Fault]:
        section = page.section(anchor)
        if section is None:
            return
        embeds = [embed for embed in page.marks.embeds if section.holds(embed.line)]
        if not any(embed.part != "source" for embed in embeds):
            yield (
                section.line,
                f"`#{anchor}` shows no cell with its output",
                f"add `/// cell | LAB#CELL` and `///`, or waive `{part}` with a reason",
            )
        named = page.front.words("labs")
        for embed in embeds:
            if embed.lab not in named:
                yield (
                    embed.line,
                    f"the page shows a cell of `{embed.lab}`, which its front matter does not name",
                    f"add it to `labs`: `labs: [{', '.join([*named, embed.lab])}]`",
                )

    return rule


def _proofs(page: Page) -> Iterator[Fault]:
    """Each guarantee leads to its proof; and what is not guaranteed is said."""
    section = page.section("guarantees")
    if section is None:
        return
    heads = [(source.cells(table[0].text), table) for table in section.tables]
    if not any(NOT in head[0] for head, _ in heads):
        yield (
            section.line,
            "`#guarantees` does not say what is not guaranteed",
            "add a table whose first column is «보장하지 않습니다»",
        )
    proven = [table for head, table in heads if head[-1] == PROOF_COLUMN]
    if not proven:
        yield (
            section.line,
            "`#guarantees` proves nothing",
            f"add a table whose last column is «{PROOF_COLUMN}», or waive `proofs` with a reason",
        )
    for row in (row for table in proven for row in table[2:]):
        proof = source.cells(row.text)[-1]
        if not proofs.in_text(proof) and not LAB_LINK.search(proof):
            yield (
                row.number,
                "the guarantee has no proof",
                "link to its test with `test:tests/FOLDER/test_FILE.py::test_NAME`, or to a cell "
                "of a lab",
            )


def _choice(page: Page) -> Iterator[Fault]:
    """A table to choose by; its last column says why not."""
    yield from _section("when")(page)
    section = page.section("when")
    if section is None:
        return
    tables = [table for table in section.tables if NOT in source.cells(table[0].text)[-1]]
    if not tables:
        yield (
            section.line,
            "`#when` has no table with a reason not to choose",
            "add a table whose last column is «고르지 않는 이유»",
        )
    for row in (row for table in tables for row in table[2:]):
        if not source.cells(row.text)[-1]:
            yield row.number, "the choice has no reason against it", "say when not to choose it"


def _pitfalls(page: Page) -> Iterator[Fault]:
    yield from _section("pitfalls")(page)
    section = page.section("pitfalls")
    if section is None:
        return
    found = [line for line in section.lines if line.kind == "item" and NUMBERED.match(line.text)]
    if not found:
        yield (
            section.line,
            "`#pitfalls` has no numbered list",
            "write `1. **증상.** 원인. 확인하는 방법.`",
        )
    elif len(found) > MOST_PITFALLS:
        yield (
            found[MOST_PITFALLS].number,
            f"`#pitfalls` names {len(found)}",
            f"keep the {MOST_PITFALLS} that cost most",
        )


def _questions(page: Page) -> Iterator[Fault]:
    yield from _section("questions")(page)
    section = page.section("questions")
    if section and len(found := _details(section)) != QUESTIONS:
        yield (
            section.line,
            f"`#questions` asks {len(found)} questions",
            f'ask {QUESTIONS}, each as `??? question "…?"` with its answer indented by four',
        )


def _number(page: Page) -> Iterator[Fault]:
    """One answer is a number that the reader finds in the output of the cell it links to."""
    section = page.section("questions")
    if section is None or not (details := _details(section)):
        return
    if not any(_answered(page.project, text) for text in details):
        yield (
            section.line,
            "no answer in `#questions` is a number of a lab",
            "link one answer to a cell, `[셀](../labs/LAB.ipynb#CELL)`, and name a number of its "
            "output; or waive `number` with a reason",
        )


def _details(section: Section) -> list[str]:
    """The text inside each box that opens."""
    found: list[str] = []
    for line in section.lines:
        if DETAILS.match(line.text):
            found.append("")
        elif found:
            found[-1] += f"{line.text}\n"
    return found


def _answered(project: Project, text: str) -> bool:
    said = set(NUMBER.findall(LAB_LINK.sub("", text)))
    said |= {
        KOREAN_NUMBERS[word] for word in re.findall("[가-힣]+", text) if word in KOREAN_NUMBERS
    }
    for link in LAB_LINK.finditer(text):
        try:
            cell = project.lab(link["lab"]).cell(link["cell"])
        except UsageError:
            continue  # the build reports the dead link
        if said & set(NUMBER.findall(_printed(cell))):
            return True
    return False


def _printed(cell: Cell) -> str:
    return "\n".join("".join(output.get("text", "")) for output in cell.outputs)


def _sources(page: Page) -> Iterator[Fault]:
    yield from _section("sources")(page)
    section = page.section("sources")
    if section is None:
        return
    hosts = {
        urlsplit(found["address"]).hostname or ""
        for line in section.lines
        for found in LINK.finditer(line.text)
    }
    if not hosts & PRIMARY:
        yield (
            section.line,
            "`#sources` names no primary source",
            "link to the maker, the standard or the paper; a new host goes into PRIMARY in "
            "handbook/site/anatomy.py",
        )


# The sections of a topic, in order, with the usual words.
SECTIONS = {
    "what-breaks": "무엇이 깨집니까",
    "how-to-fix": "어떻게 고칩니까",
    "guarantees": "보장하는 것 / 보장하지 않는 것",
    "when": "언제 고릅니까",
    "pitfalls": "함정",
    "questions": "확인 문제",
    "sources": "출처",
}

# Every part that a topic must have or waive.
TOPIC: dict[str, Rule] = {
    "answer": _answer,
    "what-breaks": _section("what-breaks"),
    "picture": _picture,
    "prediction": _prediction,
    "broken-cell": _cell("what-breaks", "broken-cell"),
    "how-to-fix": _section("how-to-fix"),
    "fixed-cell": _cell("how-to-fix", "fixed-cell"),
    "guarantees": _section("guarantees"),
    "proofs": _proofs,
    "when": _choice,
    "pitfalls": _pitfalls,
    "questions": _questions,
    "number": _number,
    "sources": _sources,
}
