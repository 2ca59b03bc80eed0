"""The gates over the pages' sources, each with the fault that turns it red."""

from __future__ import annotations

import json

import pytest

from handbook.site import gates
from handbook.site.problems import Problem
from handbook.site.project import Project

PAGE = "events/outbox.md"


def add(project: Project, text: str) -> int:
    """Append to the page; the number of the first added line."""
    file = project.docs / PAGE
    before = file.read_text("utf-8")
    file.write_text(f"{before}\n{text}\n", "utf-8")
    return before.count("\n") + 2


def only(problems: list[Problem]) -> Problem:
    """The one problem there is."""
    assert len(problems) == 1, problems
    return problems[0]


def change_cell(project: Project, cell_id: str, **changes: object) -> None:
    """Rewrite one cell of the lab."""
    file = project.notebooks / "01-demo.ipynb"
    raw = json.loads(file.read_text("utf-8"))
    next(cell for cell in raw["cells"] if cell["id"] == cell_id).update(changes)
    file.write_text(json.dumps(raw), "utf-8")


def test_gates_are_green_when_the_project_is_in_order(project: Project) -> None:
    """The untouched project passes, so every red below has the planted fault as its cause."""
    assert gates.check_pages(project) == []
    assert gates.orphans(project, {}) == []


@pytest.mark.parametrize(
    ("block", "what"),
    [
        ("/// cell | 01-dmo#e1-loses\n///", "no lab `01-dmo`"),
        ("/// cell | 01-demo#e1-losses\n///", "no cell `e1-losses`"),
        ("/// cell | 01-demo#why\n///", "is prose"),
        ("/// cell | 01-demo#cleanup\n    part: output\n///", "no stored output"),
        ("/// cell | 01-demo\n///", "names no cell"),
        ('```sql\n--8<-- "demo.py:drop"\n```', "no section `drop`"),
        ('```sql\n--8<-- "../tests/demo_checks.py"\n```', "does not exist"),
        ('```sql\n--8<-- "gone.py:keep"\n```', "does not exist"),
        ("```python\nprint(1)\n```", "python code is typed"),
        ("```{.sh}\nmake\n```", "sh code is typed"),
        ("~~~postgresql\nSELECT 1\n~~~", "postgresql code is typed"),
        ("```java\nint a;\n```", "java code is typed"),
    ],
)
def test_check_page_names_file_and_line_when_something_is_planted(
    project: Project, block: str, what: str
) -> None:
    """Each fault is one problem with file, line, what happened and what to do."""
    line = add(project, block)
    problem = only(gates.check_pages(project))
    assert what in problem.what
    file, _, number = problem.where.partition(":")
    assert file == f"docs/{PAGE}"
    assert line <= int(number) <= line + 1
    assert problem.next_step


def test_check_page_suggests_the_closest_cell_when_an_id_is_mistyped(project: Project) -> None:
    """A typing error is answered by the id that was meant."""
    add(project, "/// cell | 01-demo#e1-losses\n///")
    assert "`e1-loses`" in only(gates.check_pages(project)).next_step


def test_check_page_refuses_a_cell_when_it_was_never_run(project: Project) -> None:
    """A page may not show a source without the output that belongs to it."""
    change_cell(project, "e1-loses", execution_count=None, outputs=[])
    assert "never run" in only(gates.check_pages(project)).what


def test_typed_code_is_allowed_when_the_front_matter_gives_a_reason(project: Project) -> None:
    """The allow-list is the page itself, and it must say why."""
    page = project.docs / "index.md"
    text = page.read_text("utf-8") + "\n```sh\nmake serve\n```\n"
    page.write_text(
        f"---\ntyped_fences: 설치 명령은 Makefile에 있는 것입니다.\n---\n\n{text}", "utf-8"
    )
    assert gates.check_pages(project) == []
    page.write_text(f"---\ntyped_fences: true\n---\n\n{text}", "utf-8")
    assert "no reason" in only(gates.check_pages(project)).what


def test_a_reason_is_refused_when_it_excuses_nothing(project: Project) -> None:
    """Stale exceptions do not pile up."""
    page = project.docs / "index.md"
    page.write_text(
        f"---\ntyped_fences: 이유가 있었습니다.\n---\n\n{page.read_text('utf-8')}", "utf-8"
    )
    assert "excuses nothing" in only(gates.check_pages(project)).what


def test_sections_are_known_when_they_are_opened_and_closed_once() -> None:
    """A section without an end, or named twice, cannot be quoted."""
    good = "# --8<-- [start:a]\nx\n    # --8<-- [end:a]\n"
    assert gates.sections(good) == ["a"]
    assert gates.sections("# --8<-- [start:a]\nx\n") == []
    assert gates.sections(good * 2) == []


def test_orphans_are_red_when_no_page_shows_a_proof(project: Project) -> None:
    """A cell called `e<number>-…` proves something, so some page has to show it."""
    page = project.docs / PAGE
    page.write_text(page.read_text("utf-8").replace("#e1-keeps", "#e1-loses"), "utf-8")
    problem = only(gates.orphans(project, {}))
    assert "01-demo#e1-keeps" in problem.what
    assert gates.orphans(project, {"01-demo#e1-keeps": "shown by the picture"}) == []


@pytest.mark.parametrize("ref", ["01-demo#e1-loses", "01-demo#e9-gone"])
def test_orphans_are_red_when_an_excuse_is_not_needed(project: Project, ref: str) -> None:
    """An excuse for a cell that is shown, or is not there, has to go."""
    assert ref in only(gates.orphans(project, {ref: "a reason of old"})).what
