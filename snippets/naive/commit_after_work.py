"""Doubles effects: work that ended before its offset was committed is done again.

The right way: `snippets.consumer.consume`.

Proved by:
    E27 tests/snippets/test_consumer.py::test_effect_is_doubled_when_killed_without_an_inbox
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import AsyncConnection

from snippets.checkpoint import Checkpoint, nothing
from snippets.delivery import Handler, decode
from snippets.group import Membership, member


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
    """Handle what was read, then commit it."""
    stop = stop or asyncio.Event()
    async with (
        await AsyncConnection.connect(dsn, autocommit=True) as conn,
        member(kafka, topics, group, membership=membership) as consumer,
    ):
        while not stop.is_set():
            polled = await consumer.getmany(timeout_ms=100, max_records=batch)
            for record in [record for records in polled.values() for record in records]:
                async with conn.transaction():
                    await handler(conn, decode(record))
                at("consumer.handled")
            await consumer.commit()
            at("consumer.committed")
            # --8<-- [end:consume]
