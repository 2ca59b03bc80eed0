"""Loses events: the client commits by a clock what was read, whether or not it was handled.

That is the default of aiokafka (`enable_auto_commit=True`, every five seconds).

The right way: `snippets.consumer.consume`.

Proved by:
    E27 tests/snippets/test_consumer.py::test_events_are_lost_when_offsets_are_committed_by_a_clock
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import AsyncConnection

from snippets.checkpoint import Checkpoint, nothing
from snippets.delivery import Handler, decode
from snippets.group import Membership, member

BY_CLOCK: dict[str, Any] = {"enable_auto_commit": True, "auto_commit_interval_ms": 100}


# --8<-- [start:consume]
async def consume(
    dsn: str,
    kafka: Mapping[str, Any],
    topics: Sequence[str],
    group: str,
    handler: Handler,
    *,
    membership: Membership | None = None,
    batch: int = 100,
    stop: asyncio.Event | None = None,
    at: Checkpoint = nothing,
) -> None:
    """Handle what was read; the client commits beside that."""
    stop = stop or asyncio.Event()
    async with (
        await AsyncConnection.connect(dsn, autocommit=True) as conn,
        member(kafka, topics, group, membership=membership, **BY_CLOCK) as consumer,
    ):
        while not stop.is_set():
            polled = await consumer.getmany(timeout_ms=100, max_records=batch)
            for record in [record for records in polled.values() for record in records]:
                async with conn.transaction():
                    await handler(conn, decode(record))
                at("consumer.handled")
                # --8<-- [end:consume]
