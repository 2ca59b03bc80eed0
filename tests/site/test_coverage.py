"""Coverage is found out, never ticked: each thing a row names is broken once."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from edits import replace

from handbook.errors import CheckFailedError, UsageError
from handbook.site import coverage
from handbook.site.coverage import Missing
from handbook.site.project import Project


def missing(project: Project) -> list[Missing]:
    """What the first row lacks."""
    return list(coverage.check(project)[0].missing)


def test_row_is_complete_when_everything_it_names_is_there(project: Project) -> None:
    """The first row of the small project has all it needs, the second has no page."""
    first, second = coverage.check(project)
    assert first.missing == ()
    assert [item.kind for item in second.missing] == ["lab", "page"]


@pytest.mark.parametrize(
    ("kind", "what", "file", "old", "new"),
    [
        ("page", "navigation", "mkdocs.yml", "      - events/outbox.md", "      - index.md"),
        ("lab", "no lab", "docs/coverage.yml", "[01-demo#e1-loses", "[09-demo#e1-loses"),
        ("lab", "no cell", "docs/coverage.yml", "[01-demo#e1-loses", "[01-demo#e1-gone"),
        ("lab", "does not show", "docs/coverage.yml", "[01-demo#e1-loses", "[01-demo#setup"),
        (
            "lab",
            "never run",
            "notebooks/01-demo.ipynb",
            '"execution_count": 2',
            '"execution_count": null',
        ),
        (
            "lab",
            "1 of 2",
            "docs/coverage.yml",
            "{page: 1, lab: 1, picture",
            "{page: 1, lab: 2, picture",
        ),
        ("page", "no section", "snippets/demo.py", "[end:keep]", "[end:kept]"),
        ("page", "does not quote", "docs/events/outbox.md", "demo.py:keep", "demo.py"),
        (
            "picture",
            "does not exist",
            "docs/coverage.yml",
            "trace/01-demo/relay",
            "trace/01-demo/gone",
        ),
        (
            "picture",
            "does not exist",
            "docs/coverage.yml",
            "trace/01-demo/relay",
            "spans/01-demo/relay",
        ),
        ("picture", "schema", "docs/_data/trace/01-demo/relay.json", '[{"seq": 1}]', "[]"),
        ("picture", "no JSON", "docs/_data/trace/01-demo/relay.json", "}]}", ""),
        ("picture", "0 of 1", "docs/coverage.yml", "[trace/01-demo/relay.json]", "[]"),
        (
            "test",
            "does not exist",
            "docs/coverage.yml",
            "demo_checks.py::test_keeps",
            "gone.py::test_keeps",
        ),
        ("test", "no test", "tests/demo_checks.py", "def test_keeps", "def test_kept"),
        ("test", "no test", "docs/coverage.yml", "::test_keeps", "::helper"),
        ("test", "no test", "tests/demo_checks.py", "class TestRelay", "class TestOther"),
    ],
)
def test_row_is_incomplete_when_one_thing_it_names_is_broken(
    project: Project, kind: str, what: str, file: str, old: str, new: str
) -> None:
    """Page, cell, section, picture and test are each looked for where they must be."""
    replace(project.root / file, old, new)
    found = missing(project)
    assert any(item.kind == kind and what in item.what for item in found), found


def test_row_is_incomplete_when_its_page_is_gone(project: Project) -> None:
    """Without the page nothing of it is shown."""
    (project.docs / "events/outbox.md").unlink()
    assert "docs/events/outbox.md does not exist" in [item.what for item in missing(project)]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace("title: 아웃박스", "done: true"),
        lambda text: text.replace("R01", "R1"),
        lambda text: text.replace("needs: {page: 1, lab: 1}", "needs: {lab: 1}"),
        lambda text: text + "  broken: [",
        lambda _: "",
    ],
)
def test_plan_is_refused_when_it_does_not_match_its_schema(
    project: Project, damage: Callable[[str], str]
) -> None:
    """An unknown key such as a hand-set flag is an error, not a comment."""
    file = project.docs / "coverage.yml"
    file.write_text(damage(file.read_text("utf-8")), "utf-8")
    with pytest.raises(CheckFailedError, match=r"docs/coverage\.yml"):
        coverage.load(project)


@pytest.mark.parametrize(
    ("wanted", "rows"),
    [
        ("R01", ["R01"]),
        ("r02, R01", ["R02", "R01"]),
        ("R01-R02", ["R01", "R02"]),
        ("all", ["R01", "R02"]),
    ],
)
def test_select_finds_rows_when_they_are_named(
    project: Project, wanted: str, rows: list[str]
) -> None:
    """Single rows, ranges and all of them."""
    chosen = coverage.select(coverage.check(project), wanted)
    assert [row.row.id for row in chosen] == rows


@pytest.mark.parametrize("wanted", ["R99", "R02-R01", "outbox", "R01-R99", "R01;R02"])
def test_select_refuses_when_a_row_does_not_exist(project: Project, wanted: str) -> None:
    """A mistyped row must not pass as `nothing required`."""
    with pytest.raises(UsageError):
        coverage.select(coverage.check(project), wanted)


def test_check_prints_as_json_when_asked(project: Project) -> None:
    """Rows are plain data."""
    from handbook.commands import site

    facts = json.loads(site._json(coverage.check(project)))
    assert [fact["complete"] for fact in facts] == [True, False]
