"""The form of a page: a whole one is green, and each missing part is one red line."""

from __future__ import annotations

import re

import pytest

from handbook.site import anatomy, generated, new_page
from handbook.site.problems import Problem
from handbook.site.project import Project

PAGE = "events/whole.md"
EMBED = re.compile(r"/// cell \| 01-demo#e1-table\n///\n+")
DECISION = """\
# 0001. 결정 {#adr-0001}

**상태.** 채택 (2026-11-23)

## 맥락 {#context}

## 결정 {#decision}

## 버린 대안 {#alternatives}

## 결과 {#consequences}

## 다시 볼 조건 {#revisit}
"""


@pytest.fixture
def page(project: Project) -> str:
    """A page that has every part."""
    new_page.create(project, PAGE.removesuffix(".md"), None, "01-demo")
    text = (project.docs / PAGE).read_text("utf-8")
    return EMBED.sub("", text).replace("#e1-table)", "#e1-keeps)")


def check(project: Project, text: str, page: str = PAGE) -> list[Problem]:
    """What the form says to a page of that text."""
    return anatomy.check(project, page, text)


def changed(text: str, old: str, new: str) -> str:
    """The text with one change, which must be possible."""
    assert old in text
    return text.replace(old, new, 1)


def without(text: str, anchor: str) -> str:
    """The text without one section."""
    begin = text.index(f"{{#{anchor}}}")
    begin = text.rindex("\n## ", 0, begin)
    end = text.find("\n## ", begin + 1)
    return text[:begin] + (text[end:] if end >= 0 else "\n")


def only(problems: list[Problem]) -> Problem:
    """The one problem there is."""
    assert len(problems) == 1, problems
    return problems[0]


def test_a_page_with_every_part_is_green(project: Project, page: str) -> None:
    """So every red below has the planted fault as its cause."""
    assert check(project, page) == []


@pytest.mark.parametrize(
    ("page", "kind"),
    [
        ("events/outbox.md", "topic"),
        ("operations/ec2.md", "topic"),
        ("index.md", "free"),
        ("start/first-hour.md", "free"),
        ("labs/index.md", "free"),
        ("events/index.md", "free"),
        ("reference/coverage.md", "free"),
        ("reference/decisions/index.md", "free"),
        ("reference/decisions/0001-two-commands.md", "decision"),
    ],
)
def test_the_place_of_a_page_says_its_form(page: str, kind: str) -> None:
    """Nobody has to name the kind of a page."""
    assert anatomy.kind(page) == kind


@pytest.mark.parametrize("anchor", [*anatomy.SECTIONS])
def test_a_section_is_missed_when_it_is_not_there(project: Project, page: str, anchor: str) -> None:
    """Each of the seven sections is asked for by its id, with the words to write."""
    problem = only(check(project, without(page, anchor)))
    assert problem.what == f"the page has no section `#{anchor}`"
    assert anatomy.SECTIONS[anchor] in problem.next_step


@pytest.mark.parametrize("anchor", [*anatomy.SECTIONS])
def test_a_section_may_be_missing_when_the_front_matter_says_why(
    project: Project, page: str, anchor: str
) -> None:
    """A waiver with a reason counts, for its part only."""
    waived = without(page, anchor).replace("\n---\n", f"\nwaive:\n  {anchor}: {REASON}\n---\n", 1)
    assert check(project, waived) == []


REASON = "이 주제에는 그 부분이 없습니다."


def test_a_section_is_refused_at_the_wrong_place(project: Project, page: str) -> None:
    """The order is part of the form."""
    swapped = changed(page, "{#when}", "{#x}").replace("{#pitfalls}", "{#when}")
    swapped = swapped.replace("{#x}", "{#pitfalls}")
    assert any("`#when` stands at the wrong place" in p.what for p in check(project, swapped))


ANSWER = "제목에 바로 답합니다.\n"
CHANGES = {
    "no answer": (new_page.ANSWER, "", "the title has no answer"),
    "long answer": (ANSWER, ANSWER * 2, "the answer has 4 sentences"),
    "two paragraphs": (ANSWER, f"{ANSWER}\n", "more than one paragraph"),
    "list as answer": (ANSWER, f"- 목록\n\n{ANSWER}", "more than text"),
    "no picture": ("/// figure |", "/// note |", "shows no picture"),
    "no prediction": ("/// predict |", "/// note |", "does not let the reader predict"),
    "no broken cell": ("/// cell | 01-demo#e1-loses\n", "/// note\n", "`#what-breaks` shows no"),
    "no fixed cell": ("/// cell | 01-demo#e1-keeps\n", "/// note\n", "`#how-to-fix` shows no cell"),
    "source only": (
        "/// cell | 01-demo#e1-keeps\n",
        "/// cell | 01-demo#e1-keeps\n    part: source\n",
        "`#how-to-fix` shows no cell with its output",
    ),
    "lab not named": ("labs: [01-demo]", "labs: []", "front matter does not name"),
    "no proof column": ("| 보장합니다 | 증명 |", "| 보장합니다 | 설명 |", "proves nothing"),
    "no proof": (
        "[실습의 셀](../labs/01-demo.ipynb#e1-keeps)",
        "E20",
        "the guarantee has no proof",
    ),
    "no limits": ("| 보장하지 않습니다 |", "| 더 |", "does not say what is not guaranteed"),
    "no reason against": ("고르지 않는 이유", "비고", "has no table with a reason not to choose"),
    "empty reason": (
        "| 언제 맞지 않는지 적습니다. |",
        "| |",
        "the choice has no reason against it",
    ),
    "no pitfall": ("1. **증상을", "- **증상을", "has no numbered list"),
    "six pitfalls": ("1. **증상을", "1. 하나.\n" * 5 + "1. **증상을", "`#pitfalls` names 6"),
    "four questions": ('??? question "순서', '??? q "넷"\n\n??? q "', "asks 4 questions"),
    "two questions": ("??? question", "!!! question", "asks 2 questions"),
    "no number": ("2입니다.", "답입니다.", "no answer in `#questions` is a number"),
    "wrong number": ("2입니다.", "7입니다.", "no answer in `#questions` is a number"),
    "no primary source": ("www.postgresql.org", "blog.example.org", "names no primary source"),
    "no id": (" {#pitfalls}", "", "the heading «함정» has no id"),
    "korean id": ("{#whole}", "{#전체}", "`#전체` is no English id"),
    "id twice": ("## 함정", "### 하나 {#when}\n\n## 함정", "`#when` already stands in line"),
    "second title": ("## 함정", "# 제목 {#second}\n\n## 함정", "the page has 2 titles"),
}


@pytest.mark.parametrize(("old", "new", "what"), CHANGES.values(), ids=CHANGES)
def test_a_part_is_red_when_it_lacks_something(
    project: Project, page: str, old: str, new: str, what: str
) -> None:
    """Each fault is named with file, line and what to do."""
    problems = [
        problem for problem in check(project, changed(page, old, new)) if what in problem.what
    ]
    assert problems, check(project, changed(page, old, new))
    for problem in problems:
        file, _, line = problem.where.partition(":")
        assert file == f"docs/{PAGE}"
        assert int(line) >= 1
        assert problem.next_step


@pytest.mark.parametrize("answer", ["두 개입니다.", "`lost=2`입니다.", "2입니다."])
def test_a_number_counts_as_digit_or_as_korean_word(
    project: Project, page: str, answer: str
) -> None:
    """What the cell printed may be said in words."""
    assert check(project, changed(page, "2입니다.", answer)) == []


@pytest.mark.parametrize(
    ("written", "what"),
    [
        ("waive:\n  pitfalls: 이유를 한 문장으로 적습니다.", "`waive: pitfalls` excuses nothing"),
        ("waive:\n  anatomy: 이유를 한 문장으로 적습니다.", "`waive: anatomy` excuses nothing"),
        ("waive:\n  pitfals: 이유를 한 문장으로 적습니다.", "knows no `pitfals`"),
        ("waive:\n  pitfalls: 없음", "`waive/pitfalls`"),
        ("waive: 이유를 한 문장으로 적습니다.", "`waive`"),
        ("minuts: 10", "knows no `minuts`"),
        ("hide: [sidebar]", "`hide/0`"),
        ("hide: a: b", "the front matter is no YAML"),
    ],
)
def test_front_matter_is_refused_when_it_is_wrong(
    project: Project, page: str, written: str, what: str
) -> None:
    """Unknown names, missing reasons and broken YAML are one line each."""
    found = check(project, changed(page, "\n---\n", f"\n{written}\n---\n"))
    problem = next(problem for problem in found if what in problem.what)
    assert problem.next_step
    key = written.splitlines()[-1].partition(":")[0].strip()
    lines = changed(page, "\n---\n", f"\n{written}\n---\n").splitlines()
    assert key in lines[int(problem.where.partition(":")[2]) - 1]


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("minutes: 10\n", "", "the front matter lacks `minutes`"),
        ("before: []\n", "", "the front matter lacks `before`"),
        ("minutes: 10", "minutes: ten", "`minutes`: 'ten' is not of type 'integer'"),
        ("minutes: 10", "minutes: 0", "`minutes`: 0 is less than the minimum of 1"),
        ("before: []", "before: [events/gone.md]", "docs/events/gone.md, which does not exist"),
        ("before: []", "before: [events/whole.md]", "names the page itself"),
        ("before: []", "before: [acid]", "neither a page nor Korean text"),
        ("labs: [01-demo]", "labs: [01-dmo]", "there is no lab `01-dmo`"),
    ],
)
def test_front_matter_of_a_topic_names_what_exists(
    project: Project, page: str, old: str, new: str, what: str
) -> None:
    """A topic says how long it takes, what to read first and which labs it shows."""
    found = [problem.what for problem in check(project, changed(page, old, new))]
    assert any(what in one for one in found), found


def test_before_may_name_a_page_or_knowledge(project: Project, page: str) -> None:
    """Where no page explains it yet, words do."""
    good = changed(page, "before: []", "before: [events/outbox.md, 트랜잭션과 커밋]")
    assert check(project, good) == []


def test_a_page_is_free_of_the_form_when_it_says_why(project: Project, page: str) -> None:
    """The whole form can be waived, and the coverage page then says so."""
    free = f"---\nwaive:\n  anatomy: {REASON}\n---\n\n# 제목 {{#free}}\n"
    assert check(project, free) == []
    (project.docs / PAGE).write_text(free, "utf-8")
    assert (PAGE, "anatomy", REASON) in anatomy.waivers(project)
    shown = generated.waivers(generated.Place(project, {}, "reference/coverage.md"))
    assert f"| [events/whole](../events/whole.md) | `anatomy` | {REASON} |" in shown.splitlines()


def test_a_decision_is_green_when_its_headings_are_in_order(project: Project) -> None:
    """Decisions have a form of their own."""
    assert check(project, DECISION, "reference/decisions/0001-x.md") == []


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("채택", "완료", "does not say its status"),
        ("{#revisit}", "{#later}", "no section `#revisit`"),
        ("{#context}", "{#x}", "no section `#context`"),
        ("## 맥락 {#context}\n\n## 결정 {#decision}", "## 결정 {#decision}\n\n## 맥락 {#context}",
         "`#decision` stands at the wrong place"),
    ],
)  # fmt: skip
def test_a_decision_is_red_when_a_part_is_missing(
    project: Project, old: str, new: str, what: str
) -> None:
    """Status first, then five parts in order."""
    found = check(project, changed(DECISION, old, new), "reference/decisions/0001-x.md")
    assert any(what in problem.what for problem in found), found


def test_a_free_page_still_needs_ids(project: Project) -> None:
    """Anchors stay stable in every language, so each heading names its own."""
    assert "has no id" in only(check(project, "# 제목\n", "reference/page.md")).what


def test_headings_in_code_are_no_headings(project: Project) -> None:
    """A comment in a quoted shell script is not a title."""
    text = "# 제목 {#title}\n\n```text\n# 주석\n```\n"
    assert check(project, text, "reference/page.md") == []
