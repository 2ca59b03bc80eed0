"""What a trace means: who sent what to whom, what was lost, how long a transaction was open."""

from __future__ import annotations

from typing import Any

import pytest

from handbook.figures.scene import Message, Scene, faults, read


def trace(*events: tuple[str, ...], lanes: str = "course kafka member board") -> dict[str, Any]:
    """A trace from `lane, kind, msg or tx` in order."""
    made = []
    for seq, (lane, kind, *join) in enumerate(events, start=1):
        event: dict[str, Any] = {"seq": seq, "lane": lane, "kind": kind, "label": kind}
        if join:
            event["msg" if kind in {"send", "recv", "lost"} else "tx"] = join[0]
        made.append(event)
    return {"lab": "13-outbox", "name": "x", "lanes": lanes.split(), "events": made}


def arrows(scene: Scene) -> list[tuple[int, int | None]]:
    """From row to row; `None` for one that never arrives."""
    return [(one.origin.row, one.end.row if one.end else None) for one in scene.messages]


def only(scene: Scene) -> Message:
    """The one message there is."""
    assert len(scene.messages) == 1
    return scene.messages[0]


def test_message_joins_send_and_receipt() -> None:
    """An arrow leads from the sending row to the receiving row."""
    scene = read(trace(("course", "send", "m"), ("kafka", "recv", "m")))
    assert arrows(scene) == [(1, 2)]
    assert not only(scene).lost


def test_broker_hands_a_message_on_when_several_receive_it() -> None:
    """Consumers get the event from Kafka, which keeps it, not from the first consumer."""
    sent = (("course", "send", "m"), ("kafka", "recv", "m"))
    scene = read(trace(*sent, ("member", "recv", "m"), ("board", "recv", "m")))
    assert arrows(scene) == [(1, 2), (2, 3), (2, 4)]


def test_message_repeats_when_it_is_sent_twice() -> None:
    """A relay that repeats a batch draws two arrows, each to its own receipt."""
    once = (("course", "send", "m"), ("kafka", "recv", "m"))
    assert arrows(read(trace(*once, *once))) == [(1, 2), (3, 4)]


@pytest.mark.parametrize(
    ("events", "towards"),
    [
        ((("course", "send", "m"),), 1),
        ((("member", "send", "m"),), 1),
        ((("kafka", "send", "m"),), 2),
        ((("course", "send", "m"), ("board", "lost", "m")), 3),
        ((("course", "send", "m"), ("course", "lost", "m")), 0),
    ],
)
def test_message_is_lost_when_nobody_receives_it(
    events: tuple[tuple[str, ...], ...], towards: int
) -> None:
    """Its arrow ends on the way to Kafka, or to the lane that should have received it."""
    message = only(read(trace(*events)))
    assert (message.lost, message.lane) == (True, towards)


def test_message_stays_drawable_when_there_is_one_lane() -> None:
    """A picture with a single lane has no other side, and still is a picture."""
    assert only(read(trace(("course", "send", "m"), lanes="course"))).lane == 0


def test_nothing_is_an_arrow_when_it_was_never_sent() -> None:
    """A receipt or a loss without sending has no origin to draw from."""
    assert arrows(read(trace(("kafka", "recv", "m"), ("kafka", "lost", "n")))) == []


@pytest.mark.parametrize(
    ("events", "until"),
    [
        ((("course", "local", "t"), ("course", "commit", "t"), ("course", "crash")), 2),
        ((("course", "local", "t"), ("course", "local"), ("course", "crash")), 3),
        ((("course", "local", "t"), ("kafka", "crash")), 1),
    ],
)
def test_transaction_is_open_until_it_ends_or_its_lane_dies(
    events: tuple[tuple[str, ...], ...], until: int
) -> None:
    """The thick bar ends at commit, rollback or crash, whichever comes."""
    (transaction,) = read(trace(*events)).transactions
    assert (transaction.since, transaction.until) == (1, until)


def test_faults_are_none_when_a_trace_is_consistent() -> None:
    """So every fault below has the planted one as its cause."""
    assert list(faults(trace(("course", "send", "m"), ("kafka", "recv", "m")))) == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"seq": 7}, "seq is 7, expected 2"),
        ({"lane": "gone"}, "`gone` is not in `lanes`"),
        ({"msg": None}, "needs `msg`"),
    ],
)
def test_faults_name_the_event_when_a_trace_contradicts_itself(
    change: dict[str, Any], what: str
) -> None:
    """What no schema can say is said with the place of the event."""
    broken = trace(("course", "send", "m"), ("kafka", "recv", "m"))
    broken["events"][1].update(change)
    broken["events"][1] = {key: value for key, value in broken["events"][1].items() if value}
    (fault,) = faults(broken)
    assert fault.startswith("events/1")
    assert what in fault
