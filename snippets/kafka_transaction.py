"""Kafka transaction: read events, write derived ones, move the offset: all of it or nothing.

Guarantees:
    A consumer of committed messages sees each derived event once, wherever the process is killed:
    derived events and the offset of their sources are committed together.
    A second process with the same `transactional_id` shuts the first one out (`ProducerFenced`).

Does not guarantee:
    Anything outside Kafka: what `derive` does to a database stays when the transaction is aborted,
    and is done again. There it takes an inbox.
    Anything to consumers that also read uncommitted messages.
    Speed: readers of committed messages wait for every transaction that is open before them.

Assumes:
    One process a partition and one `transactional_id` a partition: aiokafka cannot fence by the
    group's generation (KIP-447), so there is no rebalance.

Proved by:
    E32 tests/snippets/test_kafka_transaction.py::test_derived_event_is_seen_once_wherever_killed
    E32 tests/snippets/test_kafka_transaction.py::test_effect_in_a_database_stays_when_kafka_aborts
    E32 tests/snippets/test_kafka_transaction.py::test_aborted_messages_are_seen_by_default

Source: Apache Kafka, KIP-98 (Exactly Once Delivery and Transactional Messaging), KIP-447.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal
from uuid import uuid5

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord

from snippets.checkpoint import Checkpoint, nothing
from snippets.correlation import KAFKA_HEADER
from snippets.delivery import Delivery, decode

Derive = Callable[[Delivery], Awaitable[Mapping[str, Any]]]
"""The payload of the derived event."""

Isolation = Literal["read_committed", "read_uncommitted"]


# --8<-- [start:transform]
async def transform(
    kafka: Mapping[str, Any],
    source: TopicPartition,
    target: str,
    derive: Derive,
    *,
    group: str,
    batch: int = 100,
    stop: asyncio.Event | None = None,
    at: Checkpoint = nothing,
) -> None:
    """Derive an event of `target` from each one of `source`, until `stop`.

    Args:
        kafka: How any client reaches Kafka.
        source: The partition to read.
        target: The topic to write.
        derive: Computes; what it changes outside Kafka is not part of the transaction.
        group: Whose offset moves.
        batch: Events a transaction, at most.
        stop: Ends it after the transaction in hand.
        at: Fault points.

    Raises:
        ProducerFenced: another process has this partition.
        Exception: what `derive` raised; the transaction was aborted.
    """
    stop = stop or asyncio.Event()
    name = f"{group}.{source.topic}.{source.partition}"
    async with _producer(kafka, name) as producer, _reader(kafka, source, group) as reader:
        while not stop.is_set():
            polled = await reader.getmany(timeout_ms=100, max_records=batch)
            for records in polled.values():
                async with producer.transaction():
                    sent = [await _derive(producer, target, one, derive) for one in records]
                    await asyncio.gather(*sent)
                    at("transaction.sent")
                    await producer.send_offsets_to_transaction(
                        {source: records[-1].offset + 1}, group
                    )
                at("transaction.committed")
                # --8<-- [end:transform]


# --8<-- [start:derive]
async def _derive(
    producer: AIOKafkaProducer, target: str, record: ConsumerRecord[Any, Any], derive: Derive
) -> asyncio.Future[Any]:
    """One derived event; its id follows from its source's, so that a repeat is recognised."""
    delivery = decode(record)
    value = json.dumps(await derive(delivery), ensure_ascii=False).encode()
    headers = [("event-id", str(uuid5(delivery.event_id, target)).encode())]
    if KAFKA_HEADER in delivery.headers:
        headers.append((KAFKA_HEADER, delivery.headers[KAFKA_HEADER].encode()))
    sent: asyncio.Future[Any] = await producer.send(target, value, key=record.key, headers=headers)
    return sent
    # --8<-- [end:derive]


@asynccontextmanager
async def _producer(kafka: Mapping[str, Any], name: str) -> AsyncIterator[AIOKafkaProducer]:
    """A transactional producer, after Kafka shut the last one of that name out."""
    producer = AIOKafkaProducer(**kafka, transactional_id=name)
    await producer.start()  # what the last one left open is aborted by now
    try:
        yield producer
    finally:
        with suppress(TimeoutError):
            await asyncio.wait_for(producer.stop(), timeout=5)


@asynccontextmanager
async def _reader(
    kafka: Mapping[str, Any], source: TopicPartition, group: str
) -> AsyncIterator[AIOKafkaConsumer]:
    """Reads `source` from the group's offset on, as a member of no group."""
    settings = {"enable_auto_commit": False, "auto_offset_reset": "earliest"}
    reader = AIOKafkaConsumer(**kafka, group_id=group, isolation_level="read_committed", **settings)
    await reader.start()
    try:
        reader.assign([source])
        yield reader
    finally:
        await reader.stop()


# --8<-- [start:seen]
async def seen(
    kafka: Mapping[str, Any],
    topic: str,
    isolation_level: Isolation,
) -> list[str]:
    """The keys of what a consumer with this isolation level finds now, by partition and offset."""
    settings = {"isolation_level": isolation_level, "auto_offset_reset": "earliest"}
    # A waiting fetch would hold up the question for the end.
    consumer = AIOKafkaConsumer(topic, **kafka, **settings, fetch_max_wait_ms=10)
    await consumer.start()
    try:
        places = sorted(consumer.assignment())
        ends = await consumer.end_offsets(places)
        found: list[ConsumerRecord[Any, Any]] = []
        while any([await consumer.position(place) < ends[place] for place in places]):
            for records in (await consumer.getmany(timeout_ms=100)).values():
                found += records
        found.sort(key=lambda record: (record.partition, record.offset))
        return [(record.key or b"").decode() for record in found]
    finally:
        await consumer.stop()
        # --8<-- [end:seen]
