"""Message relay: one leader moves outbox rows to Kafka, in order, and deletes what Kafka has.

Guarantees:
    Every committed outbox row reaches Kafka at least once, whenever the relay is killed.
    Events of one key reach Kafka in the order of their ids, repeats included: after a crash the
    relay repeats from the oldest row that it had not deleted.

Does not guarantee:
    Exactly once: a batch that was sent but not yet deleted is sent again (consumers keep an inbox).
    That no second relay writes in the instant after the leader's database session broke while its
    last batch was still on the way to Kafka.

Assumes:
    One database session lives as long as the relay: no connection pooler in transaction mode
    between them, because the leader's lock belongs to the session.
    Writers as in `outbox`.

Proved by:
    E21 tests/snippets/test_relay.py::test_relay_sends_every_row_when_ids_commit_out_of_order
    E22 tests/snippets/test_relay.py::test_relay_repeats_one_batch_when_killed_after_send
    E23 tests/snippets/test_relay.py::test_second_relay_waits_until_the_leader_is_gone
    E23 tests/snippets/test_relay.py::test_order_of_a_key_is_kept_when_only_the_leader_works

Source: Richardson, microservices.io, Polling publisher; PostgreSQL 18, 9.28.10 Advisory lock
functions; Kafka, KIP-98 (idempotent producer).
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import murmur2
from aiokafka.producer.message_accumulator import BatchBuilder
from psycopg import AsyncConnection

from snippets import shards
from snippets.checkpoint import Checkpoint, nothing
from snippets.correlation import KAFKA_HEADER
from snippets.outbox import CHANNEL
from snippets.retention import ARCHIVE
from snippets.shards import Shard, try_lead

# --8<-- [start:claim]
# No row lock: the advisory lock makes the leader the only reader. No watermark: a row is found for
# as long as it exists, however late its transaction commits.
CLAIM = """
SELECT id, event_id, topic, key, payload, correlation_id FROM outbox
WHERE id <> ALL (%s::bigint[]) ORDER BY id LIMIT %s
"""
DELETE = "DELETE FROM outbox WHERE id = ANY (%s::bigint[])"
# --8<-- [end:claim]


class Row(NamedTuple):
    """An outbox row on its way."""

    id: int
    event_id: UUID
    topic: str
    key: str
    payload: str
    correlation_id: str | None = None


@dataclass(frozen=True)
class Pace:
    """How the relay works.

    Attributes:
        batch: Rows a round.
        poll: Seconds between looks into the outbox when no doorbell rings.
        give_up: Seconds to wait for Kafka's acknowledgement; the idempotent producer of aiokafka
            never gives up by itself.
    """

    batch: int = 1000
    poll: float = 0.5
    give_up: float = 30.0

    def __post_init__(self) -> None:
        if self.batch < 1 or self.poll <= 0 or self.give_up <= 0:
            raise ValueError(f"{self}: all three must be positive")


class Relay:
    """Moves rows while it leads. `conn` is autocommit and used by nobody else.

    `shard`: whose rows it moves. `archive`: keep them in `outbox_archive` when Kafka has them.
    """

    def __init__(
        self,
        conn: AsyncConnection,
        producer: AIOKafkaProducer,
        *,
        pace: Pace | None = None,
        shard: Shard | None = None,
        archive: bool = False,
        at: Checkpoint = nothing,
    ) -> None:
        self._conn = conn
        self._producer = producer
        self._pace = pace or Pace()
        self._shard = shard or Shard()
        self._forget = ARCHIVE if archive else DELETE
        self._at = at
        self._sent: list[int] = []
        self._next: list[Row] = []
        self.wake = asyncio.Event()

    async def lead(self, stop: asyncio.Event) -> bool:
        """Wait for leadership; False when `stop` came first."""
        while not stop.is_set():
            if await try_lead(self._conn, self._shard):
                self._at("relay.leads")
                return True
            await _first(stop, limit=self._pace.poll)
        return False

    # --8<-- [start:step]
    async def step(self, *, limit: int | None = None) -> bool:
        """One round: Kafka takes a batch while PostgreSQL forgets the last and reads the next.

        Returns:
            True while rows are at hand that are not yet both sent and deleted.
        """
        batch, sent = self._next, self._sent
        async with asyncio.TaskGroup() as group:
            group.create_task(publish(self._producer, batch, give_up=self._pace.give_up))
            ahead = group.create_task(self._advance(sent, batch, limit))
        self._sent, self._next = [row.id for row in batch], ahead.result()
        if batch:
            self._at("relay.after_send")
        return bool(self._next or self._sent)

    async def _advance(self, sent: list[int], flying: list[Row], limit: int | None) -> list[Row]:
        limit = self._pace.batch if limit is None else limit
        async with self._conn.pipeline(), self._conn.cursor(binary=True) as cursor:
            await self._conn.execute(self._forget, (sent,))
            await cursor.execute(*self._claim([row.id for row in flying], limit))
            return [Row(*values) for values in await cursor.fetchall()]
            # --8<-- [end:step]

    def _claim(self, flying: list[int], limit: int) -> tuple[str, tuple[Any, ...]]:
        if self._shard.count == 1:
            return CLAIM, (flying, limit)
        return shards.CLAIM, (flying, self._shard.count, self._shard.number, limit)

    # --8<-- [start:run]
    async def run(self, stop: asyncio.Event) -> None:
        """Lead, then move rows until `stop`; what Kafka has is deleted before it returns."""
        if not await self.lead(stop):
            return
        busy = True
        while busy or not stop.is_set():
            busy = await self.step(limit=0 if stop.is_set() else None)
            if not busy:
                await _first(stop, self.wake, limit=self._pace.poll)
                self.wake.clear()
                # --8<-- [end:run]


# --8<-- [start:publish]
async def publish(producer: AIOKafkaProducer, rows: Sequence[Row], *, give_up: float = 30) -> None:
    """Send `rows` in order, in as few requests as fit; returns when Kafka has them all.

    Raises:
        TimeoutError: no acknowledgement within `give_up` seconds; the outcome is unknown.
    """
    async with asyncio.timeout(give_up):
        partitions = {t: len(await producer.partitions_for(t)) for t in {row.topic for row in rows}}
        open_batches: dict[tuple[str, int], BatchBuilder] = {}
        acknowledged = []
        for row in rows:
            place = row.topic, _hash(row.key) % partitions[row.topic]
            if place not in open_batches:
                open_batches[place] = producer.create_batch()
            if not _append(open_batches[place], row):
                acknowledged.append(await _send(producer, open_batches[place], place))
                open_batches[place] = producer.create_batch()
                _append(open_batches[place], row)
        for place, batch in open_batches.items():
            acknowledged.append(await _send(producer, batch, place))
        await asyncio.gather(*acknowledged)
        # --8<-- [end:publish]


def _append(batch: BatchBuilder, row: Row) -> bool:
    """False when the batch is full: `append` then returns None and drops the message."""
    headers = [("event-id", str(row.event_id).encode())]
    if row.correlation_id:
        headers.append((KAFKA_HEADER, row.correlation_id.encode()))
    key, value = row.key.encode(), row.payload.encode()
    return batch.append(key=key, value=value, timestamp=None, headers=headers) is not None


async def _send(
    producer: AIOKafkaProducer, batch: BatchBuilder, place: tuple[str, int]
) -> asyncio.Future[Any]:
    topic, partition = place
    future: asyncio.Future[Any] = await producer.send_batch(batch, topic, partition=partition)
    return future


@functools.lru_cache(maxsize=65_536)
def _hash(key: str) -> int:
    """Places a key where every Kafka client with default settings would."""
    hashed: int = murmur2(key.encode()) & 0x7FFFFFFF
    return hashed


async def _first(*events: asyncio.Event, limit: float) -> None:
    """Return when any event is set, or after `limit` seconds."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


@asynccontextmanager
async def producer_for(kafka: Mapping[str, Any]) -> AsyncIterator[AIOKafkaProducer]:
    """An idempotent producer: a retried request is stored once and in order."""
    # enable_idempotence is off by default in aiokafka, on in the Java client.
    producer = AIOKafkaProducer(**kafka, enable_idempotence=True, max_batch_size=1_000_000)
    await producer.start()
    try:
        yield producer
    finally:
        with suppress(TimeoutError):
            await asyncio.wait_for(producer.stop(), timeout=5)


async def listen(dsn: str, wake: asyncio.Event) -> None:
    """Set `wake` for every ring of the doorbell; returns when the listening session breaks."""
    async with await AsyncConnection.connect(dsn, autocommit=True) as conn:
        await conn.execute(f"LISTEN {CHANNEL}")
        async for _ in conn.notifies():
            wake.set()


async def main(
    dsn: str,
    kafka: Mapping[str, Any],
    *,
    stop: asyncio.Event | None = None,
    at: Checkpoint = nothing,
    batch: int = Pace.batch,
    poll: float = Pace.poll,
    shard: int = 0,
    shard_count: int = 1,
    archive: bool = False,
) -> None:
    """A relay process: leads its shard or waits to lead it, until `stop`."""
    pace, part = Pace(batch=batch, poll=poll), Shard(shard, shard_count)
    async with (
        await AsyncConnection.connect(dsn, autocommit=True) as conn,
        producer_for(kafka) as producer,
    ):
        relay = Relay(conn, producer, pace=pace, shard=part, archive=archive, at=at)
        listening = asyncio.create_task(listen(dsn, relay.wake))
        try:
            await relay.run(stop or asyncio.Event())
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await listening
