"""Claims of the command line `handbook labs`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import lab_samples as samples
import pytest
from click.testing import CliRunner, Result

from handbook import cli, paths
from handbook.errors import HandbookError
from handbook.notebooks import canonical, verify
from handbook.stack import Stack

pytestmark = pytest.mark.stack


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sample as a run leaves it, in a project of its own."""
    monkeypatch.setattr(paths, "NOTEBOOKS", tmp_path / "notebooks")
    monkeypatch.setattr(paths, "DATA", tmp_path / "data")
    monkeypatch.setattr(paths, "BUILD", tmp_path / "build")
    path = samples.write(paths.NOTEBOOKS)
    canonical.write(path, samples.executed())
    return path


def handbook(*arguments: str) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(cli.cli, list(arguments))


def failure(result: Result) -> tuple[int, str]:
    """Exit code and message, as `main` would give them."""
    assert isinstance(result.exception, HandbookError), result
    return result.exception.exit_code, str(result.exception)


def test_list_shows_title_and_no_date_when_a_lab_is_not_verified(lab: Path) -> None:
    """Absent data is not shown as a success."""
    result = handbook("labs", "list")
    assert result.output.split() == [samples.LAB, "not", "verified", "주문이", "사라집니까?"]


def test_list_shows_the_date_only_while_the_file_is_what_was_verified(
    lab: Path, stack: Stack
) -> None:
    """After a check the date is shown; one edit later it is not."""
    assert handbook("labs", "check").exit_code == 0
    (entry,) = json.loads(handbook("labs", "list", "--json").output)
    assert entry["verified"] == datetime.now(UTC).date().isoformat()
    samples.edit(lab, "title", source="# 다른 질문")
    (entry,) = json.loads(handbook("labs", "list", "--json").output)
    assert (entry["title"], entry["verified"], entry["cells"]) == ("다른 질문", None, 4)


def test_check_fails_and_goes_on_when_one_of_two_labs_is_broken(lab: Path, stack: Stack) -> None:
    """Every lab is checked and named; the exit code says that not all passed."""
    (paths.NOTEBOOKS / "02-broken.ipynb").write_text("{}")
    result = handbook("labs", "check")
    assert failure(result)[0] == 1
    assert "01-sample: ok, 4 cells" in result.output
    assert "02-broken: FAILED\n02-broken: is no valid notebook" in result.output
    results = json.loads(verify.results_file().read_text(encoding="utf-8"))
    assert list(results) == [samples.LAB]


def test_an_edited_lab_is_red_until_it_is_regenerated(lab: Path, stack: Stack) -> None:
    """`check` names the cell and the command; the command mends it, and `run` agrees."""
    samples.edit(lab, "e1-list", source="[1, 2, 3]")
    result = handbook("labs", "check", samples.LAB)
    assert failure(result)[0] == 1
    assert "01-sample#e1-list: the code was edited" in result.output
    assert "handbook labs regenerate 01-sample" in result.output
    assert "changed" in handbook("labs", "regenerate", samples.LAB).output
    assert "same outputs" in handbook("labs", "run", samples.LAB).output


@pytest.mark.parametrize("command", ["run", "check", "regenerate"])
def test_an_unknown_lab_is_refused_with_the_closest_name(lab: Path, command: str) -> None:
    """A mistyped name is a wrong request, and nothing is run."""
    code, message = failure(handbook("labs", command, "01-simple"))
    assert (code, message) == (2, "there is no lab `01-simple`\n  next: did you mean `01-sample`?")


def test_lab_refuses_an_unknown_name_before_it_starts_anything(lab: Path) -> None:
    """`handbook lab` knows the same names."""
    code, message = failure(handbook("lab", "01-simple"))
    assert (code, "did you mean `01-sample`?" in message) == (2, True)
