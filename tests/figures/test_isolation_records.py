"""The isolation pages: the matrix says what its transcripts show, and leads to each of them."""

from __future__ import annotations

import re
from typing import Any

from recorded import data

from handbook import paths

LAB = "05-isolation-matrix"
ANCHOR = re.compile(r"(?:\{id: |<span id=\")(?P<id>[a-z0-9-]+)")


def cells() -> list[dict[str, Any]]:
    """All 56."""
    matrix = data(f"matrix/{LAB}/matrix.json")
    return [result for case in matrix["cases"] for result in case["results"].values()]


def recorded(name: str) -> dict[str, Any]:
    """A transcript; READ UNCOMMITTED is recorded once, as READ COMMITTED."""
    name = name.replace("read-uncommitted", "read-committed")
    return dict(data(f"steps/{LAB}/{name}.json"))


def test_cell_says_what_its_transcript_shows() -> None:
    """Verdict and SQLSTATE of the matrix are those of the recording that the cell opens."""
    seen, said = [], []
    for cell in cells():
        name, transcript = cell["transcript"], recorded(cell["transcript"])
        states = [step["sqlstate"] for step in transcript["steps"] if "sqlstate" in step]
        seen.append((name, transcript["verdict"]["happens"], states[0] if states else None))
        said.append((name, cell["happens"], cell.get("sqlstate")))
    assert said == seen
    assert len(said) == 56


def test_every_cell_has_its_transcript_on_the_page() -> None:
    """Once each, and no transcript that no cell opens."""
    page = (paths.DOCS / "isolation/levels.md").read_text("utf-8")
    assert sorted(ANCHOR.findall(page)) == sorted(cell["transcript"] for cell in cells())


def test_seven_anomalies_are_shown_where_they_happen_and_where_they_are_prevented() -> None:
    """Two of them PostgreSQL never lets happen; the others are there twice."""
    page = (paths.DOCS / "isolation/anomalies.md").read_text("utf-8")
    names = re.findall(rf"steps/{LAB}/[\w-]+\.json", page)
    shown = [data(name) for name in names]
    happens = {one["title"] for one in shown if one["verdict"]["happens"]}
    prevented = {one["title"] for one in shown if not one["verdict"]["happens"]}
    assert happens == {"비반복 읽기", "읽기 스큐", "갱신 손실", "팬텀 읽기", "쓰기 스큐"}
    assert prevented == happens | {"더티 쓰기", "더티 읽기"}
