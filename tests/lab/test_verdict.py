"""A verdict is good only when something happened and nothing is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from handbook.lab import Verdict

GOOD: dict[str, Any] = {
    "attempted": ["a", "b", "c", "d"],
    "acknowledged": ["a", "b"],
    "refused": ["d"],
    "found": {"a": 1, "b": 1, "c": 1, "d": 0},
    "faults": 2,
}


def test_verdict_holds_when_all_that_was_promised_is_there_once() -> None:
    """What its client never learned of is recovered, what was refused is not there."""
    verdict = Verdict.of(**GOOD)
    assert verdict.holds is True
    assert str(verdict) == (
        "attempted=4 acknowledged=2 lost=0 duplicated=0 unexpected=0 recovered=1 stuck=0"
        " inverted=0 faults=2"
    )


@pytest.mark.parametrize(
    ("change", "count"),
    [
        ({"found": {"a": 1}}, "lost"),
        ({"found": {"a": 2, "b": 1}}, "duplicated"),
        ({"found": {"a": 1, "b": 1, "x": 1}}, "unexpected"),
        ({"found": {"a": 1, "b": 1, "d": 1}}, "unexpected"),
        ({"stuck": ["c"]}, "stuck"),
        ({"inverted": 1}, "inverted"),
    ],
)
def test_verdict_fails_when_one_thing_is_wrong(change: dict[str, object], count: str) -> None:
    """Each kind of damage is counted by its name."""
    verdict = Verdict.of(**{**GOOD, **change})
    assert verdict.holds is False
    assert getattr(verdict, count) == 1


@pytest.mark.parametrize("change", [{"faults": 0}, {"acknowledged": []}])
def test_verdict_is_unknown_when_nothing_happened(change: dict[str, object]) -> None:
    """No fault, or nothing promised: the run is no success."""
    assert Verdict.of(**{**GOOD, **change}).holds is None
