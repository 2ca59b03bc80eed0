"""Loses events: what fails is logged and passed over, and its offset is committed with the rest.

The right way: `snippets.consumer.consume` with a dead-letter topic.

Proved by:
    E30 tests/snippets/test_dead_letter.py::test_event_is_lost_when_its_failure_is_swallowed
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import AsyncConnection

from snippets import inbox
from snippets.checkpoint import Checkpoint, nothing
from snippets.delivery import Handler, decode
from snippets.group import Membership, member

log = logging.getLogger("consumer")


# --8<-- [start:consume]
async def consume(
    dsn: str,
    kafka: Mapping[str, Any],
    topics: Sequence[str],
    group: str,
    handler: Handler,
    *,
    membership: Membership | None = None,
    stop: asyncio.Event | None = None,
    at: Checkpoint = nothing,
) -> None:
    """Handle what was read, whatever comes of it, and commit."""
    stop = stop or asyncio.Event()
    async with (
        await AsyncConnection.connect(dsn, autocommit=True) as conn,
        member(kafka, topics, group, membership=membership) as consumer,
    ):
        while not stop.is_set():
            polled = await consumer.getmany(timeout_ms=100)
            for record in [record for records in polled.values() for record in records]:
                try:
                    delivery = decode(record)
                    async with conn.transaction():
                        if await inbox.first_time(conn, group, delivery.event_id):
                            await handler(conn, delivery)
                except Exception:
                    log.warning("event failed")
                at("consumer.handled")
            await consumer.commit()
            at("consumer.committed")
            # --8<-- [end:consume]
