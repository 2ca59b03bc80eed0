"""The commands' output and exit codes."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from handbook import paths
from handbook.cli import cli
from handbook.errors import CheckFailedError, HandbookError, UsageError
from handbook.site.project import Project


@pytest.fixture(autouse=True)
def here(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands work on the small project."""
    monkeypatch.setattr(paths, "ROOT", project.root)


def run(*arguments: str) -> Result:
    """Run `handbook`; errors stay exceptions, which `main` turns into messages and exit codes."""
    return CliRunner().invoke(cli, arguments)


def test_build_says_what_it_made_when_it_succeeds(project: Project) -> None:
    """One line on stdout."""
    result = run("build")
    assert result.exit_code == 0
    assert result.stdout.startswith("7 pages in ")
    assert (project.site / "index.html").is_file()


def test_coverage_shows_every_row_and_passes_when_nothing_is_required() -> None:
    """A table of rows; incomplete rows alone are no failure."""
    result = run("coverage")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "1 of 2 rows complete"
    assert "R02  --  lacks lab, page" in result.stdout


def test_coverage_passes_when_the_required_row_is_complete() -> None:
    """Exit 0 with --require of a complete row, and JSON on request."""
    result = run("coverage", "--require", "R01", "--json")
    assert result.exit_code == 0
    assert [row["complete"] for row in json.loads(result.stdout)] == [True, False]


@pytest.mark.parametrize(
    ("rows", "error"), [("R01,R02", CheckFailedError), ("R09", UsageError), ("", UsageError)]
)
def test_coverage_fails_when_a_required_row_is_incomplete_or_unknown(
    rows: str, error: type[HandbookError]
) -> None:
    """Exit 1 names what is missing, exit 2 a row that does not exist."""
    result = run("coverage", "--require", rows)
    assert isinstance(result.exception, error)


def test_pages_check_names_the_orphan_when_a_proof_is_on_no_page(project: Project) -> None:
    """Green first, red when the embed is taken away, and the same as JSON."""
    assert run("pages", "check").exit_code == 0
    page = project.docs / "events/outbox.md"
    page.write_text(page.read_text("utf-8").replace("#e1-keeps", "#e1-loses"), "utf-8")
    assert isinstance(run("pages", "check").exception, CheckFailedError)
    problems = json.loads(run("pages", "check", "--json").stdout)
    assert [problem["where"] for problem in problems] == ["notebooks/01-demo.ipynb"]
