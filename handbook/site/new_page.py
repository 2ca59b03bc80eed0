"""The first version of a page: all eight parts, filled from a lab, so that it passes the gates.

The writer replaces its sentences; what stays, stays checked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from handbook.errors import UsageError
from handbook.figures.prediction import printed
from handbook.notebooks.store import Cell, Notebook
from handbook.site import gates, navigation
from handbook.site.anatomy import SECTIONS
from handbook.site.project import Project

# The site's tabs in their order.
TABS = {
    "start": "시작하기",
    "why": "왜 MSA인가",
    "transactions": "트랜잭션과 락",
    "saga": "보상과 사가",
    "events": "이벤트와 재시도",
    "isolation": "격리",
    "operations": "운영·인수인계",
    "labs": "실습",
    "reference": "참고",
}
TOPICS = tuple(folder for folder in TABS if folder not in {"start", "labs", "reference"})
SLUG = re.compile(r"^(?P<folder>[a-z]+)/(?P<name>[a-z0-9]+(?:-[a-z0-9]+)*)$")
TITLE = "제목을 질문이나 주장으로 적습니다"
MEASURED = re.compile(r"(?P<name>\w+)=(?P<number>\d+)")
WAIVED = {
    "picture": "그릴 기록이 없는 주제입니다. 까닭을 적습니다.",
    "prediction": "예측할 출력이 없는 주제입니다. 까닭을 적습니다.",
    "broken-cell": "실행할 것이 없는 주제입니다. 까닭을 적습니다.",
    "fixed-cell": "실행할 것이 없는 주제입니다. 까닭을 적습니다.",
    "proofs": "출처로만 말하는 주제입니다. 까닭을 적습니다.",
    "number": "실습이 없는 주제입니다. 까닭을 적습니다.",
}


@dataclass(frozen=True)
class Proof:
    """A cell that proves something, and the number that it prints."""

    ref: str
    name: str
    number: str

    @property
    def link(self) -> str:
        """A link from a topic's page to the cell."""
        lab, _, cell = self.ref.partition("#")
        return f"../labs/{lab}.ipynb#{cell}"


def create(project: Project, slug: str, title: str | None, lab: str | None) -> list[Path]:
    """Write the page and put it into the navigation; the files that changed.

    Args:
        project: the checkout.
        slug: the tab's folder and the page's name: `events/relay`.
        title: its first heading.
        lab: the lab whose cells it shows; without one the parts of a lab are waived.

    Raises:
        UsageError: the name is none for a page, or is taken, or the lab cannot be shown.
    """
    file = _free(project, slug)
    name = slug.partition("/")[2]
    proofs = _proofs(project.lab(lab)) if lab else []
    parts = _with_lab(project, proofs) if proofs else _without_lab()
    text = _front_matter(lab, picture=bool(lab and _trace(project, lab)))
    text += f"\n# {title or TITLE} {{#{name}}}\n\n{ANSWER}\n"
    for anchor, heading in SECTIONS.items():
        text += f"\n## {heading} {{#{anchor}}}\n\n{parts[anchor]}\n"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, "utf-8")
    changed = [file]
    if f"{slug}.md" not in navigation.pages(navigation.read(project), project):
        config = project.config.read_text("utf-8")
        project.config.write_text(in_navigation(config, f"{slug}.md"), "utf-8")
        changed.append(project.config)
    return changed


def _free(project: Project, slug: str) -> Path:
    found = SLUG.match(slug)
    if not found or found["folder"] not in TOPICS:
        raise UsageError(
            f"`{slug}` cannot name a topic",
            f"write FOLDER/NAME; the folder is one of: {', '.join(TOPICS)}",
        )
    file = project.docs / f"{slug}.md"
    if file.exists():
        raise UsageError(f"docs/{slug}.md exists", "edit it, or choose another name")
    return file


def in_navigation(config: str, page: str) -> str:
    """`mkdocs.yml` with the page at the end of its tab; the tab is made when there is none."""
    lines = config.splitlines(keepends=True)
    start = next(number for number, line in enumerate(lines) if line.startswith("nav:")) + 1
    end = next(
        (start + number for number, line in enumerate(lines[start:]) if re.match(r"[^\s#]", line)),
        len(lines),
    )
    folder = page.partition("/")[0]
    entry = re.compile(r"^(?P<indent>\s+)- (?:[^:#]+: )?(?P<folder>[a-z]+)/[\w/*-]+(?:\.md)?\s*$")
    entries = [(n, found) for n in range(start, end) if (found := entry.match(lines[n]))]
    own = [(number, found) for number, found in entries if found["folder"] == folder]
    if own:
        number, found = own[-1]
        return "".join([*lines[: number + 1], f"{found['indent']}- {page}\n", *lines[number + 1 :]])
    order = list(TABS)
    later = [n for n, found in entries if found["folder"] in order[order.index(folder) :]]
    place = later[0] if later else end
    while later and not re.match(r"  - ", lines[place]):
        place -= 1
    tab = [f"  - {TABS[folder]}:\n", f"      - {page}\n"]
    return "".join([*lines[:place], *tab, *lines[place:]])


def _proofs(lab: Notebook) -> list[Proof]:
    """The lab's proofs; the first one breaks, and prints a number to predict."""
    cells = [cell for cell in lab.cells if cell.kind == "code" and gates.PROOF.match(cell.id)]
    if len(cells) < 2:
        raise UsageError(
            f"lab {lab.name} has {len(cells)} cells that prove something",
            "give it two, the broken way first: `e20-loses`, `e20-keeps`",
        )
    return [_proof(lab.name, cell, first=cell is cells[0]) for cell in cells]


def _proof(lab: str, cell: Cell, *, first: bool) -> Proof:
    if cell.execution_count is None:
        raise UsageError(
            f"`{lab}#{cell.id}` was never run", f"run `handbook labs regenerate {lab}`"
        )
    found = list(MEASURED.finditer(printed(cell.outputs)))
    if first and not found:
        raise UsageError(
            f"`{lab}#{cell.id}` prints no number to predict", "let it print such as `lost=3`"
        )
    name, number = (found[-1]["name"], found[-1]["number"]) if found else ("", "")
    return Proof(f"{lab}#{cell.id}", name, number)


def _trace(project: Project, lab: str) -> str | None:
    found = sorted((project.data / "trace" / lab).glob("*.json"))
    return f"trace/{lab}/{found[0].name}" if found else None


def _front_matter(lab: str | None, *, picture: bool) -> str:
    waived = {} if lab else WAIVED
    if lab and not picture:
        waived = {"picture": WAIVED["picture"]}
    lines = [
        "---",
        "description: 이 페이지가 무엇에 답하는지 한두 문장으로 적습니다.",
        "keywords: []",
        "minutes: 10",
        "before: []",
        f"labs: [{lab or ''}]",
        *(["waive:"] if waived else []),
        *(f"  {part}: {reason}" for part, reason in waived.items()),
        "---",
        "",
    ]
    return "\n".join(lines)


def _with_lab(project: Project, proofs: list[Proof]) -> dict[str, str]:
    broken, *fixed = proofs
    trace = _trace(project, broken.ref.partition("#")[0])
    picture = PICTURE.format(trace=trace) if trace else ""
    return {
        **WORDS,
        "what-breaks": BROKEN.format(picture=picture, proof=broken, choices=_choices(broken)),
        "how-to-fix": "\n\n".join([FIXED, *(f"/// cell | {proof.ref}\n///" for proof in fixed)]),
        "guarantees": GUARANTEES.format(proof=f"[실습의 셀]({fixed[-1].link})"),
        "questions": QUESTIONS.format(
            answer=f"{broken.number}입니다. [실습의 셀]({broken.link})에서 확인합니다."
        ),
    }


def _choices(proof: Proof) -> str:
    """Nothing, what was printed, and twice as much."""
    right = int(proof.number)
    return "\n".join(f"- {choice}" for choice in ((0, right, 2 * right) if right else (0, 1, 2)))


def _without_lab() -> dict[str, str]:
    return {
        **WORDS,
        "what-breaks": NOTHING_RUNS,
        "how-to-fix": FIXED,
        "guarantees": "\n".join(GUARANTEES.splitlines()[-3:]),
        "questions": QUESTIONS.format(answer="답과 그 까닭을 적습니다."),
    }


ANSWER = """\
제목에 바로 답합니다.
왜 그런지 한 문장으로 적습니다.
무엇을 하면 되는지 한 문장으로 적습니다."""

NOTHING_RUNS = "누가 무엇을 하다가 무엇을 잃는지 적습니다."

PICTURE = """\
/// figure | space-time {trace}
그림에서 볼 것을 한 문장으로 적습니다.
///

"""

BROKEN = (
    NOTHING_RUNS
    + """

{picture}/// predict | {proof.ref}
    answer: {proof.name}=(\\d+)

실습의 셀은 `{proof.name}`을 얼마로 출력합니까?

{choices}

왜 그런지 적습니다.
///

/// cell | {proof.ref}
///"""
)

FIXED = """\
무엇을 바꾸는지, 왜 그것으로 충분한지 적습니다."""

GUARANTEES = """\
| 보장합니다 | 증명 |
| --- | --- |
| 무엇이 언제나 참인지 적습니다. | {proof} |

| 보장하지 않습니다 | 그래서 |
| --- | --- |
| 무엇을 기대하면 안 되는지 적습니다. | 대신 무엇을 하는지 적습니다. |"""

QUESTIONS = """\
??? question "실습의 수를 묻는 질문을 적습니까?"
    {answer}

??? question "순서나 까닭을 설명하게 하는 질문을 적습니까?"
    답을 두세 문장으로 적습니다.

??? question "조건이 달라지면 어떻게 되는지 묻는 질문을 적습니까?"
    답을 두세 문장으로 적습니다."""

WORDS = {
    "when": """\
| 방법 | 고를 때 | 고르지 않는 이유 |
| --- | --- | --- |
| 이 방법 | 언제 이 방법이 맞는지 적습니다. | 언제 맞지 않는지 적습니다. |
| 아무것도 하지 않기 | 언제 그대로 두어도 되는지 적습니다. | 무엇을 잃는지 적습니다. |""",
    "pitfalls": """\
1. **증상을 적습니다.** 원인을 적습니다. 확인하는 방법을 적습니다.""",
    "sources": """\
- PostgreSQL 18, [Transaction isolation](https://www.postgresql.org/docs/18/transaction-iso.html)""",
}
