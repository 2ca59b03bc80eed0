"""The protocol as data: which step each checkpoint is, and in which order the steps come.

a: the course service starts. b, c: member and board do their parts. d: the course service ends it.
e, f: member, which refused, and board, which did its part, undo.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

# --8<-- [start:steps]
STEPS: Mapping[str, str] = {
    "creation.begun": "a1",
    "creation.course_added": "a2",
    "creation.start_written": "a3",
    "creation.running": "a4",
    "creation.committed": "a5",
    "creation.answered": "a6",
    "creation.asked": "a7",
    "member.start_received": "b1",
    "member.added": "b2",
    "member.rejected": "b2",
    "member.answer_written": "b3",
    "board.start_received": "c1",
    "board.added": "c2",
    "board.rejected": "c2",
    "board.answer_written": "c3",
    "creation.added_received": "d1",
    "creation.rejected_received": "d1",
    "creation.completed": "d2",
    "creation.cancelling": "d3",
    "creation.cancel_written": "d4",
    "member.cancel_received": "e1",
    "member.removed": "e2",
    "member.removal_written": "e3",
    "board.cancel_received": "f1",
    "board.removed": "f2",
    "board.removal_written": "f3",
    "creation.removed_received": "d5",
    "creation.course_deleted": "d2",
    "creation.failed": "d6",
}
# --8<-- [end:steps]

# --8<-- [start:orders]
START = (
    "creation.begun",
    "creation.course_added",
    "creation.start_written",
    "creation.running",
    "creation.committed",
    "creation.answered",
    "creation.asked",
)
BOARD_ADDS = ("board.start_received", "board.added", "board.answer_written")
COMPLETES = (
    *START,
    *("member.start_received", "member.added", "member.answer_written"),
    *BOARD_ADDS,
    *("creation.added_received", "creation.added_received", "creation.completed"),
)
FAILS = (
    *START,
    *BOARD_ADDS,
    "creation.added_received",
    *("member.start_received", "member.rejected", "member.answer_written"),
    *("creation.rejected_received", "creation.cancelling", "creation.cancel_written"),
    *("member.cancel_received", "member.removed", "member.removal_written"),
    *("board.cancel_received", "board.removed", "board.removal_written"),
    *("creation.removed_received", "creation.removed_received"),
    *("creation.course_deleted", "creation.failed"),
)
# --8<-- [end:orders]


def of(service: str, points: Iterable[str]) -> list[str]:
    """The points of one service (`creation`, `member`, `board`) that are steps, in order."""
    return [point for point in points if point in STEPS and point.startswith(f"{service}.")]


def steps(points: Iterable[str]) -> list[str]:
    """The steps that were passed, in order; points that are none are left out."""
    return [STEPS[point] for point in points if point in STEPS]
