"""Doubles effects: a member that lost its partition while it worked writes all the same.

The right way: `snippets.fencing.consume`.

Proved by:
    E28 tests/snippets/test_fencing.py::test_effect_is_doubled_when_two_members_have_one_event
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from aiokafka.errors import CommitFailedError, IllegalStateError
from psycopg import AsyncConnection

from snippets.checkpoint import Checkpoint, nothing
from snippets.delivery import Handler, decode
from snippets.fencing import Work
from snippets.group import Membership, member


# --8<-- [start:consume]
async def consume(
    dsn: str,
    kafka: Mapping[str, Any],
    topics: Sequence[str],
    group: str,
    work: Work,
    write: Handler,
    *,
    membership: Membership | None = None,
    stop: asyncio.Event | None = None,
    at: Checkpoint = nothing,
) -> None:
    """Be a member of `group`: `work` on each event, then `write`."""
    stop = stop or asyncio.Event()
    async with (
        await AsyncConnection.connect(dsn, autocommit=True) as conn,
        member(kafka, topics, group, membership=membership) as consumer,
    ):
        while not stop.is_set():
            polled = await consumer.getmany(timeout_ms=100, max_records=1)
            for place, (record,) in polled.items():
                delivery = decode(record)
                await work(delivery)
                async with conn.transaction():
                    await write(conn, delivery)
                at("fencing.written")
                with suppress(CommitFailedError, IllegalStateError):
                    await consumer.commit({place: record.offset + 1})
                # --8<-- [end:consume]
