"""Transactional outbox: an event is a row of the same transaction as the change it tells of.

Guarantees:
    An event is in the outbox exactly when its transaction committed: none is lost, none is a ghost.
    Ids of one key grow in the order in which the transactions of that key commit (see Assumes).

Does not guarantee:
    That the event is sent once (the relay sends it at least once), or soon, or at all while no
    relay runs. Order between different keys.
    That a ring of the `Doorbell` is heard: it saves latency, the relay's poll saves the event.

Assumes:
    A writer locks the row that its key names before it calls `write`, as any change of that row
    does. Two transactions of one key then insert one after the other.

Proved by:
    E20 tests/snippets/test_outbox.py::test_event_exists_exactly_when_its_transaction_committed
    E20 tests/snippets/test_dual_write.py::test_outbox_loses_nothing_when_killed_after_commit
    E25 tests/snippets/test_doorbell.py::test_committers_take_turns_when_they_notify_inside
    E25 tests/snippets/test_doorbell.py::test_missed_ring_is_made_good_by_the_poll

Source: Richardson, Microservices Patterns, section 3.3.1; microservices.io, Transactional outbox.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection, OperationalError

from snippets.correlation import correlation_id

CHANNEL = "outbox"
# Kafka refuses a batch over 1 MiB: what can never be sent must fail its writer, not the relay.
MAX_PAYLOAD_BYTES = 512 * 1024

# --8<-- [start:table]
CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS outbox (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id       uuid NOT NULL,
    topic          text NOT NULL,
    key            text NOT NULL,
    payload        text NOT NULL,
    correlation_id text,  -- of the request that caused the event; NULL when none did
    created_at     timestamptz NOT NULL DEFAULT now()
) WITH (  -- rows live for milliseconds: vacuum by count, not by share of an empty table
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000
)
"""
# --8<-- [end:table]

# Takes ROW EXCLUSIVE on the table: blocks neither readers nor other writers.
INSERT = """
INSERT INTO outbox (event_id, topic, key, payload, correlation_id) VALUES (%s, %s, %s, %s, %s)
"""

BACKLOG = """
SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float8
FROM outbox
"""


def _current() -> str | None:
    """What this task works for; None outside of any request."""
    known = correlation_id.get()
    return None if known == "-" else known


@dataclass(frozen=True)
class Event:
    """A fact that other services may act on.

    Attributes:
        id: Made by the writer, once; what consumers deduplicate by.
        topic: Where it goes.
        key: Events of one key keep their order.
        payload: JSON-serialisable facts.
        correlation_id: Of the request that caused it; by default the one that this task works for.
    """

    id: UUID
    topic: str
    key: str
    payload: Mapping[str, Any]
    correlation_id: str | None = field(default_factory=_current)

    def __post_init__(self) -> None:
        if not self.topic or not self.key:
            raise ValueError(f"event {self.id}: name a topic, and a key to keep its order by")


@dataclass(frozen=True)
class Backlog:
    """What waits for the relay: the number to alarm on."""

    events: int
    oldest: timedelta


# --8<-- [start:write]
async def write(conn: AsyncConnection, event: Event) -> None:
    """Put `event` into the caller's transaction; never commits.

    Raises:
        ValueError: the payload is larger than Kafka takes, or holds NaN, which is no JSON.
    """
    payload = json.dumps(event.payload, ensure_ascii=False, allow_nan=False)
    if len(payload.encode()) > MAX_PAYLOAD_BYTES:
        raise ValueError(f"payload of event {event.id} is over {MAX_PAYLOAD_BYTES} bytes")
    values = (event.id, event.topic, event.key, payload, event.correlation_id)
    await conn.execute(INSERT, values)
    # --8<-- [end:write]


async def backlog(conn: AsyncConnection) -> Backlog:
    """How many events wait, and for how long the oldest has waited."""
    row = await (await conn.execute(BACKLOG)).fetchone()
    assert row is not None
    return Backlog(events=row[0], oldest=timedelta(seconds=row[1]))


# --8<-- [start:doorbell]
class Doorbell:
    """Wakes the relay after a commit, from a connection of its own, at most once per `gap` seconds.

    NOTIFY inside the writing transaction takes a lock that all committing writers share; after the
    commit it costs them nothing. A ring that is lost costs latency only: the relay also polls.
    """

    def __init__(self, dsn: str, *, gap: float = 0.005) -> None:
        self._dsn = dsn
        self._gap = gap
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Call after the commit; returns at once."""
        self._rung.set()

    @property
    def rung(self) -> bool:
        """Whether a ring waits to be served."""
        return self._rung.is_set()

    async def run(self) -> None:
        """Serve rings until cancelled; what a lost connection swallowed is left to the poll."""
        while True:
            await self._next()
            with suppress(OperationalError):
                async with await AsyncConnection.connect(self._dsn, autocommit=True) as conn:
                    while True:
                        await conn.execute(f"NOTIFY {CHANNEL}")
                        await asyncio.sleep(self._gap)
                        await self._next()

    async def _next(self) -> None:
        await self._rung.wait()
        self._rung.clear()
        # --8<-- [end:doorbell]


@asynccontextmanager
async def doorbell(dsn: str, *, gap: float = 0.005) -> AsyncIterator[Doorbell]:
    """A `Doorbell` on a connection of its own, for the time of the block."""
    bell = Doorbell(dsn, gap=gap)
    serving = asyncio.create_task(bell.run())
    try:
        yield bell
    finally:
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving
