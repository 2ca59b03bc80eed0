"""Exercises of labs: a cell that the reader edits, and one that says whether it is solved.

The cell as published is kept in its own metadata, so that it can be put back without git.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handbook.errors import CheckFailedError, UsageError
from handbook.lab.exercise import SOLVED
from handbook.notebooks import canonical, runner, store

EDITED = canonical.EXERCISE
CHECK = "exercise-check"


@dataclass(frozen=True)
class Exercise:
    """One task: the cell to edit, the cell that judges it, and whether it is as published."""

    lab: str
    cell: str
    check: str
    untouched: bool


def of_lab(name: str, folder: Path | None = None) -> list[Exercise]:
    """The exercises of a lab, in order."""
    raw = _read(store.find(name, folder))
    found = []
    for cell, check in _pairs(raw["cells"]):
        source = canonical.join(cell["source"])
        found.append(Exercise(name, cell["id"], check["id"], source == original(cell)))
    return found


def original(cell: dict[str, Any]) -> str:
    """The source of an exercise's cell as it was published; as it is, when it never was."""
    kept = cell["metadata"].get("handbook", {}).get(EDITED, {}).get("original")
    return canonical.join(cell["source"] if kept is None else kept)


def solved(name: str, folder: Path | None = None) -> dict[str, bool]:
    """Run the reader's own notebook in a kernel of its own: exercise cell to whether it is solved.

    Raises:
        UsageError: the lab has no exercises.
        CheckFailedError: a cell raised; names it.
    """
    path = store.find(name, folder)
    if not of_lab(name, folder):
        raise UsageError(f"lab {name} has no exercises", "`handbook exercise list` shows who has")
    return judged(runner.execute(path).raw)


def judged(raw: dict[str, Any]) -> dict[str, bool]:
    """What the checks of a notebook that was run have said."""
    return {cell["id"]: _said(check) == f"{SOLVED}\n" for cell, check in _pairs(raw["cells"])}


def reset(name: str, folder: Path | None = None) -> list[str]:
    """Put the published code back into the exercises' cells; the cells that had other code."""
    path = store.find(name, folder)
    raw = _read(path)
    changed = []
    for cell, _ in _pairs(raw["cells"]):
        if canonical.join(cell["source"]) != (published := original(cell)):
            cell["source"] = published
            changed.append(cell["id"])
    if changed:
        canonical.write(path, raw)
    return changed


def _pairs(cells: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each exercise with the next check below it."""
    waiting: list[dict[str, Any]] = []
    for cell in cells:
        tags = cell["metadata"].get("tags", ())
        if EDITED in tags:
            waiting.append(cell)
        elif CHECK in tags:
            yield from ((one, cell) for one in waiting)
            waiting.clear()


def _said(cell: dict[str, Any]) -> str:
    return "".join(canonical.join(output.get("text", "")) for output in cell.get("outputs", ()))


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return found
    except ValueError as error:
        raise CheckFailedError(f"{path} is no notebook", "restore it from git") from error
