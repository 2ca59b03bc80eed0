"""Every exercise of every lab can be solved, and is not solved as it is published."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from handbook import paths
from handbook.notebooks import exercises, store
from handbook.stack import Stack

pytestmark = pytest.mark.stack

SOLUTIONS = Path(__file__).parent / "exercises"
LABS = [name for name in store.names() if exercises.of_lab(name)]


def solution(lab: str, cell: str) -> Path:
    """Where the solution of an exercise is: a module, which may stand in the cell as it is."""
    return SOLUTIONS / lab / f"{cell.replace('-', '_')}.py"


@pytest.mark.parametrize("lab", LABS)
def test_check_turns_green_when_the_solutions_are_put_in(
    stack: Stack, tmp_path: Path, lab: str
) -> None:
    """With every exercise's cell replaced by its solution, every check says so."""
    raw = json.loads(store.find(lab).read_text("utf-8"))
    for one in exercises.of_lab(lab):
        cell = next(cell for cell in raw["cells"] if cell["id"] == one.cell)
        cell["source"] = solution(lab, one.cell).read_text("utf-8")
    (tmp_path / f"{lab}.ipynb").write_text(json.dumps(raw), "utf-8")

    results = exercises.solved(lab, tmp_path)

    assert results == {one.cell: True for one in exercises.of_lab(lab)}


def test_lab_ends_with_an_exercise() -> None:
    """Every lab has one or two."""
    for lab in store.names():
        assert 1 <= len(exercises.of_lab(lab)) <= 2, lab


def test_exercise_is_unsolved_when_it_is_published() -> None:
    """The stored output of every check says so, which the gates compare with a new run."""
    for lab in LABS:
        raw = json.loads(store.find(lab).read_text("utf-8"))
        assert set(exercises.judged(raw).values()) == {False}, lab


def test_solution_belongs_to_an_exercise_and_every_exercise_has_one() -> None:
    """None is left over, none is missing."""
    wanted = {solution(lab, one.cell) for lab in LABS for one in exercises.of_lab(lab)}
    assert set(SOLUTIONS.rglob("*.py")) == wanted, paths.ROOT
