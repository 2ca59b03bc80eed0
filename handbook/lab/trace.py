"""A recording of what happened, in logical order, as data for pictures.

No clock times: two runs of one lab give the same bytes.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from handbook.errors import UsageError
from handbook.lab import recording

Kind = Literal["local", "send", "recv", "commit", "abort", "block", "lost", "crash"]
KINDS: tuple[str, ...] = get_args(Kind)
NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


@dataclass(frozen=True)
class Event:
    """One thing that happened in one lane."""

    seq: int
    lane: str
    kind: str
    label: str
    msg: str | None = None
    tx: str | None = None
    ref: str | None = None

    def data(self) -> dict[str, Any]:
        """The event without what it does not have."""
        return {key: value for key, value in vars(self).items() if value is not None}


class Trace:
    """Events of one lab under one name; safe to add to from several threads."""

    def __init__(self, lab: str, name: str) -> None:
        if not NAME.fullmatch(name):
            raise UsageError(
                f"`{name}` cannot name a trace", "use lower-case letters, digits and hyphens"
            )
        self.lab = lab
        self.name = name
        self.events: list[Event] = []
        self._adding = threading.Lock()

    def add(
        self,
        lane: str,
        kind: Kind | str,
        label: str,
        *,
        msg: str | None = None,
        tx: str | None = None,
        ref: str | None = None,
    ) -> Event:
        """Append an event.

        Args:
            lane: Who: a service, Kafka, a relay. Lanes are drawn in order of their first event.
            kind: One of `KINDS`.
            label: What a reader of the picture sees.
            msg: Joins the `send`, `recv` and `lost` of one message.
            tx: Joins the events of one transaction.
            ref: The step of the page that the event belongs to.
        """
        if kind not in KINDS:
            raise UsageError(f"`{kind}` is no kind of event", f"use one of: {', '.join(KINDS)}")
        with self._adding:
            event = Event(len(self.events) + 1, lane, kind, label, msg, tx, ref)
            self.events.append(event)
        return event

    def data(self) -> dict[str, Any]:
        """The whole trace as JSON data (schema: docs/_data/schema/trace.schema.json)."""
        lanes = list(dict.fromkeys(event.lane for event in self.events))
        events = [event.data() for event in self.events]
        return {"lab": self.lab, "name": self.name, "lanes": lanes, "events": events}

    def save(self) -> Path:
        """Write the trace, whole or not at all."""
        return recording.write("trace", self.lab, self.name, self.data())
