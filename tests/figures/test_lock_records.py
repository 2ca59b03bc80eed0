"""The recordings of the lock labs: who waits for whom, and what the pages say about it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from handbook import paths
from handbook.figures import steps
from handbook.notebooks import gate

RISK = (paths.DOCS / "isolation" / "risk.md").read_text(encoding="utf-8")
WON = re.compile(r"[\d,]+원")


def recorded(name: str) -> dict[str, Any]:
    """A recording by lab and name."""
    loaded: dict[str, Any] = json.loads((paths.DATA / "steps" / f"{name}.json").read_text("utf-8"))
    return loaded


def waits(record: dict[str, Any]) -> list[tuple[str, str]]:
    """Who waited for whom, in order."""
    waiting = [step for step in record["steps"] if step["state"] == "waiting"]
    return [(step["session"], step["waits_for"]) for step in waiting]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("07-locks/queue", [("T2", "T1")]),
        ("07-locks/deadlock", [("T1", "T2"), ("T2", "T1")]),
        ("07-locks/parent", [("T2", "T1")]),
        ("06-lost-update-and-skew/for-update-passes", []),
    ],
)
def test_waits_are_those_the_page_tells(name: str, expected: list[tuple[str, str]]) -> None:
    """A row lock is waited for, also by a child; nobody waits for a row that is not there."""
    assert waits(recorded(name)) == expected
    assert list(steps.faults(recorded(name))) == []


def test_one_of_two_is_refused_when_they_wait_for_each_other() -> None:
    """40P01 once; the other one's changes are what is committed."""
    record = recorded("07-locks/deadlock")
    refused = [
        (step["session"], step["sqlstate"]) for step in record["steps"] if "sqlstate" in step
    ]

    assert refused == [("T1", "40P01")]
    assert record["steps"][-1]["rows"] == [{"id": "A", "taken": 4}, {"id": "B", "taken": 2}]


def test_second_reads_the_new_value_when_it_has_waited() -> None:
    """T2 goes on with what T1 committed; T3, who only reads, has gone on before."""
    told = {
        (step["session"], step["state"]): step["result"]
        for step in recorded("07-locks/queue")["steps"]
        if step["sql"].startswith("SELECT") and "result" in step
    }

    assert told == {("T1", "ran"): "3", ("T3", "ran"): "3", ("T2", "resumed"): "4"}


def test_two_courses_have_the_hall_when_both_locked_no_row() -> None:
    """What is committed in the end breaks the rule."""
    rows = recorded("06-lost-update-and-skew/for-update-passes")["steps"][-1]["rows"]

    assert [(row["hall"], row["hour"], row["course"]) for row in rows] == [
        (1, 9, "Kafka"),
        (1, 9, "SQL"),
    ]


def test_risk_of_a_day_is_the_labs() -> None:
    """Each product in the page's table stands in the output of the cell that computed it."""
    path = paths.NOTEBOOKS / "06-lost-update-and-skew.ipynb"
    cells = {cell["id"]: cell for cell in json.loads(path.read_text("utf-8"))["cells"]}
    table = [
        line.split("|")[4] for line in RISK.splitlines() if line.startswith("| ") and "원 |" in line
    ]

    products = [won for cell in table for won in WON.findall(cell)]

    assert len(products) == 3
    assert set(products) <= set(WON.findall(gate.shown_text(cells["risk"]["outputs"])))
