"""A recorded trace as what a space-time diagram shows: rows, messages, open transactions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from handbook.figures.lanes import Lane, lane

WORDS = {
    "local": "실행",
    "send": "보냄",
    "recv": "받음",
    "commit": "커밋",
    "abort": "롤백",
    "block": "대기",
    "lost": "유실",
    "crash": "죽음",
}
BROKER = "kafka"


@dataclass(frozen=True)
class Event:
    """One row: row `n` is the n-th thing that happened."""

    row: int
    lane: int
    kind: str
    label: str
    msg: str | None
    tx: str | None
    ref: str | None

    @property
    def says(self) -> str:
        """Kind and label, without saying a thing twice."""
        word = WORDS[self.kind]
        known = self.kind == "local" or word in self.label
        return self.label if known else f"{word}: {self.label}"


@dataclass(frozen=True)
class Message:
    """An arrow from one row to another; one that never arrives ends on its way to `lane`."""

    msg: str
    origin: Event
    end: Event | None
    lane: int

    @property
    def lost(self) -> bool:
        """Whether nobody received it."""
        return self.end is None or self.end.kind == "lost"


@dataclass(frozen=True)
class Open:
    """A transaction while it is open in one lane. `until` is the row that ends it."""

    tx: str
    lane: int
    since: int
    until: int


@dataclass(frozen=True)
class Scene:
    """Everything in one picture."""

    lanes: tuple[Lane, ...]
    events: tuple[Event, ...]
    messages: tuple[Message, ...]
    transactions: tuple[Open, ...]

    def arrow(self, event: Event) -> Message | None:
        """The arrow that starts at this event, if one does."""
        return next((one for one in self.messages if one.origin is event), None)

    def arrival(self, event: Event) -> Message | None:
        """The arrow that ends at this event, if one does."""
        return next((one for one in self.messages if one.end is event), None)


def faults(data: dict[str, Any]) -> Iterator[str]:
    """What a schema cannot say: rows count from 1, and every lane is declared."""
    for row, event in enumerate(data["events"], start=1):
        if event["seq"] != row:
            yield f"events/{row - 1}: seq is {event['seq']}, expected {row}"
        if event["lane"] not in data["lanes"]:
            yield f"events/{row - 1}: lane `{event['lane']}` is not in `lanes`"
        if event["kind"] in {"send", "recv"} and "msg" not in event:
            yield f"events/{row - 1}: a {event['kind']} needs `msg`, which joins its two ends"


def read(data: dict[str, Any]) -> Scene:
    """The scene of a trace that fits its schema and has no `faults`."""
    keys: list[str] = data["lanes"]
    events = tuple(_event(keys, raw) for raw in data["events"])
    return Scene(
        tuple(map(lane, keys)),
        events,
        tuple(_messages(events, keys)),
        tuple(_transactions(events)),
    )


def _event(keys: list[str], raw: dict[str, Any]) -> Event:
    joins = (raw.get("msg"), raw.get("tx"), raw.get("ref"))
    return Event(raw["seq"], keys.index(raw["lane"]), raw["kind"], raw["label"], *joins)


def _messages(events: tuple[Event, ...], keys: list[str]) -> Iterator[Message]:
    broker = keys.index(BROKER) if BROKER in keys else None
    waiting: list[Event] = []
    for event in events:
        if event.kind == "send":
            waiting.append(event)
        elif event.kind in {"recv", "lost"} and (origin := _origin(event, events, waiting, broker)):
            if origin in waiting:
                waiting.remove(origin)
            yield Message(str(event.msg), origin, event, event.lane)
    for event in waiting:
        yield Message(str(event.msg), event, None, _towards(event.lane, broker, len(keys)))


def _origin(
    event: Event, events: tuple[Event, ...], waiting: list[Event], broker: int | None
) -> Event | None:
    """Where a message came from: its own sending, or the broker that keeps it for everyone."""
    if event.msg is None:
        return None
    before = [one for one in events[: event.row - 1] if one.msg == event.msg]
    sent = [one for one in before if one in waiting]
    kept = [one for one in before if one.kind == "recv" and one.lane == broker]
    again = [one for one in before if one.kind == "send"]
    for candidates in (sent, kept, again):
        if others := [one for one in candidates if one.lane != event.lane]:
            return others[0]
    return sent[0] if event.kind == "lost" and sent else None


def _towards(sender: int, broker: int | None, lanes: int) -> int:
    if broker not in {None, sender}:
        return int(broker or 0)
    return sender + 1 if sender + 1 < lanes else max(sender - 1, 0)


def _transactions(events: tuple[Event, ...]) -> Iterator[Open]:
    for tx, where in dict.fromkeys((event.tx, event.lane) for event in events if event.tx):
        mine = [event for event in events if (event.tx, event.lane) == (tx, where)]
        since, last = mine[0].row, mine[-1]
        crashes = [
            event.row
            for event in events
            if (event.kind, event.lane) == ("crash", where) and event.row > last.row
        ]
        ended = last.kind in {"commit", "abort"}
        yield Open(str(tx), where, since, last.row if ended else min(crashes, default=last.row))
