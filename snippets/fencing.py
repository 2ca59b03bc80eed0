"""Fencing token: who has lost a partition, and does not know it, can no longer write.

Guarantees:
    Once a holder has written, no holder with a smaller token writes after it. The late one is told
    so (`Fenced`), and its transaction is rolled back.

Does not guarantee:
    One effect an event: the old holder may write before the new one does, and the new one does it
    again. Keep an `inbox` as well.
    Anything about a resource that does not check: send the token along with every call.

Assumes:
    Each holder has a larger token than the one before. The generation of a Kafka group grows with
    every rebalance, until the group is deleted: delete its fences, too.
    `guard` is in the transaction of the write.

Proved by:
    E28 tests/snippets/test_fencing.py::test_late_write_is_refused_when_the_partition_was_lost
    E28 tests/snippets/test_fencing.py::test_effect_is_doubled_when_the_old_holder_writes_first

Source: Kleppmann, How to do distributed locking (2016), fencing tokens; Apache Kafka, KIP-62.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import CommitFailedError, IllegalStateError
from psycopg import AsyncConnection

from snippets.checkpoint import Checkpoint, nothing
from snippets.delivery import Delivery, Handler, decode
from snippets.errors import Rejected
from snippets.group import Membership, member

# --8<-- [start:table]
CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS fence (
    resource text PRIMARY KEY,
    token    bigint NOT NULL     -- of the youngest holder that wrote
)
"""
# Locks the row until the transaction ends: two holders pass one after the other.
GO_PAST = """
INSERT INTO fence AS f (resource, token) VALUES (%s, %s)
ON CONFLICT (resource) DO UPDATE SET token = excluded.token WHERE f.token <= excluded.token
"""
# --8<-- [end:table]

Work = Callable[[Delivery], Awaitable[None]]
"""The slow part, before the transaction: a call, a computation."""


class Fenced(Rejected):
    """A younger holder has written: what this one holds is not its own any more."""


# --8<-- [start:guard]
async def guard(conn: AsyncConnection, resource: str, token: int) -> None:
    """Let the caller's transaction pass if no younger holder has; never commits.

    Args:
        conn: The transaction of the write.
        resource: What is held.
        token: The holder's; larger than that of any holder before.

    Raises:
        Fenced: a younger holder has passed, or this one holds nothing; roll the write back.
    """
    if token < 0:  # what Kafka's clients say when they are in no group
        raise Fenced(f"{resource} is held by nobody")
    if not (await conn.execute(GO_PAST, (resource, token))).rowcount:
        raise Fenced(f"{resource} has a holder younger than {token}")
    # --8<-- [end:guard]


def generation(consumer: AIOKafkaConsumer) -> int:
    """The group's generation in which `consumer` holds its partitions: its token."""
    # aiokafka has no public name for it; in Java it is groupMetadata().generationId().
    assert consumer._coordinator is not None
    number: int = consumer._coordinator.generation
    return number


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
    """Be a member of `group`: `work` on each event, then `write` behind the partition's fence."""
    stop = stop or asyncio.Event()
    async with (
        await AsyncConnection.connect(dsn, autocommit=True) as conn,
        member(kafka, topics, group, membership=membership) as consumer,
    ):
        while not stop.is_set():
            polled = await consumer.getmany(timeout_ms=100, max_records=1)
            token = generation(consumer)
            for place, (record,) in polled.items():
                delivery = decode(record)
                await work(delivery)
                try:
                    async with conn.transaction():
                        await guard(conn, f"{group}/{place.topic}/{place.partition}", token)
                        await write(conn, delivery)
                except Fenced:
                    at("fencing.refused")
                    continue
                at("fencing.written")
                with suppress(CommitFailedError, IllegalStateError):
                    await consumer.commit({place: record.offset + 1})
                # --8<-- [end:consume]
