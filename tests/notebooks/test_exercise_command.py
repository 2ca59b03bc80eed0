"""Exercises: the gate keeps them unsolved, `check` judges the reader's file, `reset` undoes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lab_samples as samples
import pytest
from click.testing import CliRunner, Result

from handbook import cli, paths
from handbook.errors import HandbookError, UsageError
from handbook.lab import exercise
from handbook.lab.exercise import SOLVED, UNSOLVED
from handbook.notebooks import canonical, exercises, gate
from handbook.stack import Stack

TASK = "answer = 41"
JUDGE = (
    "from handbook.lab import exercise\n\n\n"
    "def right():\n    assert answer == 42\n\n\nexercise(right)"
)
CELLS = (
    ("markdown", "title", "# 무엇이 답입니까?"),
    ("code", "setup", samples.OPEN),
    ("code", "exercise-answer", TASK),
    ("code", "check-answer", JUDGE),
    ("code", "cleanup", "lab.close()"),
)


def published() -> dict[str, Any]:
    """A lab with one exercise as a run leaves it, without the run."""
    made = samples.notebook(*CELLS)
    for number, code in enumerate([c for c in made["cells"] if c["cell_type"] == "code"], start=1):
        code["execution_count"] = number
        code["metadata"][canonical.EXECUTED] = canonical.digest(code["source"])
    samples.by_id(made, "exercise-answer")["metadata"]["tags"] = ["exercise"]
    judge = samples.by_id(made, "check-answer")
    judge["metadata"]["tags"] = ["exercise-check"]
    judge["outputs"] = [samples.stream(f"{UNSOLVED}\n")]
    return made


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The lab, in a project of its own."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    monkeypatch.setattr(paths, "NOTEBOOKS", folder)
    path = folder / f"{samples.LAB}.ipynb"
    canonical.write(path, published())
    return path


def edit(path: Path, cell: str, source: str) -> None:
    """What a reader does in JupyterLab."""
    raw = json.loads(path.read_text("utf-8"))
    samples.by_id(raw, cell)["source"] = source
    path.write_text(json.dumps(raw), "utf-8")


def problems(raw: dict[str, Any]) -> list[str]:
    """What the gate says."""
    return [finding.problem for finding in gate.check(samples.LAB, canonical.text(raw))]


def handbook(*arguments: str) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(cli.cli, list(arguments))


@pytest.mark.parametrize(("holds", "said"), [(True, SOLVED), (False, UNSOLVED)])
def test_helper_prints_one_of_two_sentences_when_a_check_ran(
    capsys: pytest.CaptureFixture[str], holds: bool, said: str
) -> None:
    """The only outputs that the gate and the page know."""

    def check() -> None:
        assert holds

    exercise(check)
    assert capsys.readouterr().out == f"{said}\n"


def test_helper_hides_no_other_error_when_a_check_breaks() -> None:
    """A misspelt name is the reader's to see, not «not solved yet»."""

    def check() -> None:
        raise NameError("handel")

    with pytest.raises(NameError):
        exercise(check)


def test_gate_is_green_when_an_exercise_is_unsolved() -> None:
    """The published source is kept in the cell's metadata by the canonical form."""
    raw = json.loads(canonical.text(published()))
    kept = samples.by_id(raw, "exercise-answer")["metadata"]["handbook"]
    assert kept == {"exercise": {"original": [TASK]}}
    assert problems(raw) == []


def test_gate_is_red_when_an_exercise_is_published_solved() -> None:
    """Neither the solution nor its green check may be committed."""
    raw = json.loads(canonical.text(published()))
    cell = samples.by_id(raw, "exercise-answer")
    cell["source"] = "answer = 42"
    cell["metadata"][canonical.EXECUTED] = canonical.digest("answer = 42")
    samples.by_id(raw, "check-answer")["outputs"] = [samples.stream(f"{SOLVED}\n")]
    found = " ".join(problems(raw))
    assert "not as it was published" in found
    assert "anything but" in found


def test_gate_is_red_when_no_check_follows_an_exercise() -> None:
    """A task that nobody judges is none."""
    raw = json.loads(canonical.text(published()))
    samples.by_id(raw, "check-answer")["metadata"]["tags"] = []
    assert problems(raw) == ["no check follows the exercise"]


def test_reset_brings_the_published_code_back_when_a_reader_edited_it(lab: Path) -> None:
    """Without git, and only the exercise."""
    before = lab.read_text("utf-8")
    edit(lab, "exercise-answer", "answer = 'Zweiundvierzig'")
    assert handbook("exercise", "list").output.split() == [samples.LAB, "exercise-answer", "edited"]
    assert handbook("exercise", "reset", samples.LAB).stdout == "reset exercise-answer\n"
    assert lab.read_text("utf-8") == before
    assert exercises.reset(samples.LAB) == []


@pytest.mark.stack
def test_check_fails_until_the_reader_solves_it_when_it_runs_the_file(
    stack: Stack, lab: Path
) -> None:
    """Exit code 1 and the cell's name, then 0; the file is not changed."""
    red = handbook("exercise", "check", samples.LAB)
    assert isinstance(red.exception, HandbookError)
    assert red.exception.exit_code == 1
    assert red.stdout.split() == ["exercise-answer", "not", "solved"]
    edit(lab, "exercise-answer", "answer = 42")
    edited = lab.read_text("utf-8")
    green = handbook("exercise", "check", samples.LAB)
    assert (green.exit_code, green.stdout.split()) == (0, ["exercise-answer", "solved"])
    assert lab.read_text("utf-8") == edited


def test_check_is_refused_when_a_lab_has_no_exercise(lab: Path) -> None:
    """And so is a lab that does not exist."""
    canonical.write(lab, samples.executed())
    for name in (samples.LAB, "99-gone"):
        with pytest.raises(UsageError):
            exercises.solved(name)
