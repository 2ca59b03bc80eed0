"""A task at the end of a lab: the reader edits one cell, the next one says whether it is solved."""

from __future__ import annotations

from collections.abc import Callable

SOLVED = "풀었습니다"
UNSOLVED = "아직 풀지 않았습니다"


def exercise(check: Callable[[], object]) -> None:
    """Print whether `check` passes. Any error but a failed assertion is the reader's to see."""
    try:
        check()
    except AssertionError:
        print(UNSOLVED)  # noqa: T201 - the cell's output
    else:
        print(SOLVED)  # noqa: T201
