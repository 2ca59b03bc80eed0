"""Consumer: every event has its effect once, in order within a key, however often it is delivered.

Guarantees:
    No event is lost: its offset is committed after its effect, or after a dead-letter topic has it.
    Its effect happens once: the inbox and the effect are in one transaction.
    Events of one key are handled in order: a partition is handled one event after the other, and
    what has to be tried again holds its partition. The member's other partitions go on.
    A failing service or database costs time, no event: the partition waits, the member stays.

Does not guarantee:
    Effects outside the transaction, such as calls: give them the event's id.
    Order around a dead letter: the events behind it go first.
    That a partition goes on when it meets poison and there is no dead-letter topic.

Assumes:
    Events as `relay` sends them. The `inbox` table is in the database of the effect.
    A handler that ends within `limit`, which is shorter than `max_poll_interval_ms`.

Proved by:
    E27 tests/snippets/test_consumer.py::test_effect_happens_once_wherever_the_consumer_is_killed
    E29 tests/snippets/test_consumer.py::test_backlog_drains_when_a_killed_consumer_comes_back
    E30 tests/snippets/test_dead_letter.py::test_partition_goes_on_when_poison_is_buried
    E31 tests/snippets/test_consumer.py::test_key_keeps_its_order_when_a_partition_is_slow

Source: Apache Kafka 4, documentation, Message Delivery Semantics; Richardson, microservices.io,
Idempotent consumer; Hohpe and Woolf, Enterprise Integration Patterns, Dead Letter Channel.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from aiokafka.structs import ConsumerRecord
from psycopg import AsyncConnection

from snippets import inbox
from snippets.checkpoint import Checkpoint, nothing
from snippets.correlation import KAFKA_HEADER, take_over
from snippets.dead_letter import FIVE_MINUTES, FOR_GROUP, Patience, bury, reason
from snippets.delivery import Delivery, Handler, Undecodable, decode
from snippets.errors import Retriable
from snippets.group import Membership, member
from snippets.relay import producer_for
from snippets.retry import Policy

__all__ = ["Delivery", "Handler", "Undecodable", "consume", "decode"]

Polled = dict[TopicPartition, list[ConsumerRecord[Any, Any]]]
log = logging.getLogger("consumer")
POLL = 0.1  # seconds without an event until offsets are committed
CONNECT = 5  # seconds to wait for the database
GIVE_UP = 5.0  # seconds to wait for Kafka
# A process that was frozen in its handler cannot time out by itself: others wait for its inbox row.
TRANSACTION_TIMEOUT = "SELECT set_config('transaction_timeout', %s, false)"


@dataclass
class _Member(ConsumerRebalanceListener):
    """One member's loop; `turn` is held while an event is handled or partitions are given back."""

    dsn: str
    group: str
    handler: Handler
    patience: Patience
    limit: float
    schema: int
    batch: int
    committed: Callable[[], None]
    at: Checkpoint
    bury: Callable[[ConsumerRecord[Any, Any], str], Awaitable[None]] | None = None
    consumer: AIOKafkaConsumer = field(init=False)
    conn: AsyncConnection | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    rebalances: int = 0
    handled: int = 0
    done: dict[TopicPartition, int] = field(default_factory=dict)
    held: dict[TopicPartition, float] = field(default_factory=dict)

    # --8<-- [start:run]
    async def run(self, stop: asyncio.Event) -> None:
        """Handle one event after the other until `stop`; commit after a batch, or when idle."""
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                await self._handle(*await self._next(stopping))
        finally:
            stopping.cancel()
        async with self.turn:
            await self._commit()

    async def _handle(self, rebalances: int, polled: Polled) -> None:
        async with self.turn:
            for place, (record,) in polled.items():
                if rebalances == self.rebalances:  # else another member may have it by now
                    await self._settle(place, record)
            if not polled or self.handled >= self.batch:
                await self._commit()

    async def _settle(self, place: TopicPartition, record: ConsumerRecord[Any, Any]) -> None:
        """The effect, or a dead letter, or another try later: never nothing."""
        try:
            await self._effect(record)
        except Exception as error:
            if not await self._failed(place, record, error):
                return
        self.patience.succeeded(place)
        self.done[place] = record.offset + 1
        self.handled += 1
        self.committed()
        self.at("consumer.handled")
        # --8<-- [end:run]

    async def _next(self, stopping: asyncio.Task[Any]) -> tuple[int, Polled]:
        """What came, and amid which rebalance; nothing when the end came first."""
        polling = asyncio.create_task(self._poll())  # which waits as long as a rebalance takes
        try:
            await asyncio.wait([polling, stopping], return_when=asyncio.FIRST_COMPLETED)
            return polling.result() if polling.done() else (self.rebalances, {})
        finally:
            polling.cancel()

    async def _poll(self) -> tuple[int, Polled]:
        polled = await self.consumer.getmany(timeout_ms=self._resume(), max_records=1)
        return self.rebalances, polled

    # --8<-- [start:effect]
    async def _effect(self, record: ConsumerRecord[Any, Any]) -> None:
        delivery = decode(record, schema=self.schema)
        if delivery.headers.get(FOR_GROUP, self.group) != self.group:
            return  # a replay for others
        take_over(delivery.headers.get(KAFKA_HEADER, ""), otherwise=str(delivery.event_id))
        conn = await self._connected()
        try:
            async with asyncio.timeout(self.limit), conn.transaction():
                if await inbox.first_time(conn, self.group, delivery.event_id):
                    await self.handler(conn, delivery)
        except TimeoutError as error:
            raise Retriable(f"no end within {self.limit:g} s") from error
        # --8<-- [end:effect]

    async def _connected(self) -> AsyncConnection:
        if self.conn is None or self.conn.closed:
            self.conn = await AsyncConnection.connect(
                self.dsn, autocommit=True, connect_timeout=CONNECT
            )
            await self.conn.execute(TRANSACTION_TIMEOUT, (f"{1000 * self.limit:.0f}",))
        return self.conn

    # --8<-- [start:failed]
    async def _failed(
        self, place: TopicPartition, record: ConsumerRecord[Any, Any], error: Exception
    ) -> bool:
        """True when the event is among the dead letters; False when it is to be tried again."""
        pause = self.patience.failed(place, error)
        facts = {"topic": place.topic, "partition": place.partition, "offset": record.offset}
        log.warning("event failed", extra={"facts": {**facts, "reason": reason(error)}})
        if pause is None and self.bury is not None:
            with suppress(KafkaError, TimeoutError):
                await self.bury(record, reason(error))
                self.at("consumer.buried")
                return True
        self._hold(place, record, self.patience.longest if pause is None else pause)
        return False

    def _hold(self, place: TopicPartition, record: ConsumerRecord[Any, Any], pause: float) -> None:
        """The partition waits for this event; the member goes on polling, and so stays."""
        self.consumer.pause(place)
        self.consumer.seek(place, record.offset)
        self.held[place] = time.monotonic() + pause
        self.at("consumer.holds")

    def _resume(self) -> int:
        """Let partitions go on whose pause is over; milliseconds until the next look."""
        now = time.monotonic()
        for place in [place for place, until in self.held.items() if until <= now]:
            del self.held[place]
            self.consumer.resume(place)
        return max(1, round(1000 * min([POLL, *(until - now for until in self.held.values())])))
        # --8<-- [end:failed]

    # --8<-- [start:commit]
    async def _commit(self) -> None:
        done, self.done, self.handled = self.done, {}, 0
        if not done:
            return
        try:
            async with asyncio.timeout(GIVE_UP):
                await self.consumer.commit(done)
        except (CommitFailedError, IllegalStateError):
            return  # others have the partitions now; their inbox knows these events
        except TimeoutError:
            self.done = done  # Kafka is away: with the next ones
            return
        self.at("consumer.committed")

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Let the event in hand end and commit, before another member begins."""
        self.rebalances += 1
        if revoked:
            self.at("consumer.revoked")
        async with self.turn:
            await self._commit()
        self.done.clear()
        self.held.clear()
        self.patience.clear()

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Partitions came, perhaps none."""
        for place in sorted(assigned):
            self.at(f"consumer.assigned.{place.partition}")
        # --8<-- [end:commit]


# --8<-- [start:consume]
async def consume(
    dsn: str,
    kafka: Mapping[str, Any],
    topics: Sequence[str],
    group: str,
    handler: Handler,
    *,
    dead_letters: str | None = None,
    stop: asyncio.Event | None = None,
    policy: Policy | None = None,
    membership: Membership | None = None,
    limit: float = 30.0,
    schema: int = 1,
    batch: int = 100,
    rng: random.Random | None = None,
    committed: Callable[[], None] = lambda: None,
    at: Checkpoint = nothing,
) -> None:
    """Be a member of `group` and handle events until `stop`.

    Args:
        dsn: The database of the effect and of the inbox.
        kafka: How any client reaches Kafka.
        topics: What to read.
        group: Whose offsets and whose inbox.
        handler: The effect.
        dead_letters: The topic for what cannot be handled; without it poison stops its partition.
        stop: Ends the loop after the event in hand.
        policy: How often and how long an event may fail before it is a dead letter; by default
            for five minutes, so that a service which is away does not turn events into letters.
        membership: How Kafka watches the member.
        limit: Seconds that a handler may take; then its transaction is rolled back.
        schema: The newest version of payloads (`schema`, 1 by default) that the handler knows.
        batch: Events between two commits of offsets, at most.
        rng: Chooses the pauses.
        committed: Called after each event's transaction, such as `outbox.Doorbell.ring`.
        at: Fault points.

    Raises:
        ValueError: the settings contradict each other, or a topic does not exist.
    """
    membership = membership or Membership()
    if 1000 * limit >= membership.max_poll_interval_ms:
        raise ValueError("let `limit` end before `max_poll_interval_ms`, or the partitions go")
    if batch < 1:
        raise ValueError("let a batch hold at least one event")
    if dead_letters is not None and dead_letters in topics:
        raise ValueError("give dead letters a topic of their own: poison would come back")
    patience = Patience(policy or FIVE_MINUTES, rng=rng)
    loop = _Member(dsn, group, handler, patience, limit, schema, batch, committed, at)
    async with AsyncExitStack() as stack:
        if dead_letters is not None:
            producer = await stack.enter_async_context(producer_for(kafka))
            loop.bury = partial(bury, producer, dead_letters, group=group)
        joining = member(kafka, topics, group, membership=membership, listener=loop)
        loop.consumer = await stack.enter_async_context(joining)
        if dead_letters is not None and dead_letters not in await loop.consumer.topics():
            raise ValueError(f"create the topic {dead_letters} first")
        try:
            await loop.run(stop or asyncio.Event())
        finally:
            if loop.conn is not None:
                await loop.conn.close()
                # --8<-- [end:consume]
