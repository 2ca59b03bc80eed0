"""Recorded traces: an arrow of a picture is a message that was sent, and ends where it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from recorded import data

from handbook import paths
from handbook.figures import scene

TRACES = sorted(path.relative_to(paths.DATA) for path in (paths.DATA / "trace").glob("*/*.json"))
CALL = "trace/10-failing-compensation/refused.json"


def loose(trace: dict[str, Any]) -> list[int]:
    """Rows of what was sent and has no end, and of what arrived and was never sent."""
    drawn = scene.read(trace)
    arrows = [arrow for arrow in drawn.messages if arrow.end]
    joined = {end.row for arrow in arrows for end in (arrow.origin, arrow.end) if end}
    messages = [event.row for event in drawn.events if event.kind in {"send", "recv"}]
    return [row for row in messages if row not in joined]


@pytest.mark.parametrize("name", TRACES, ids=str)
def test_every_message_has_both_ends_when_its_trace_is_drawn(name: Path) -> None:
    """What is sent arrives or is lost, what arrives was sent."""
    trace = data(str(name))
    assert list(scene.faults(trace)) == []
    assert loose(trace) == []


@pytest.mark.parametrize("row", [2, 3, 4, 5])
def test_message_is_loose_when_an_end_is_missing(row: int) -> None:
    """The twin: without one of four events of a call, its other end stands alone."""
    trace = data(CALL)
    trace["events"] = [event for event in trace["events"] if event["seq"] != row]
    for seq, event in enumerate(trace["events"], start=1):
        event["seq"] = seq
    assert len(loose(trace)) == 1
