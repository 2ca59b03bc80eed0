"""Breaks the order of a course's events: each goes to the next partition, whatever its key.

Partitions are read at different pace; only within one of them is there an order.
The right way: `snippets.relay.publish`.

Proved by:
    E31 tests/snippets/test_consumer.py::test_key_loses_its_order_when_sent_round_the_partitions
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer

from snippets.relay import Row


# --8<-- [start:publish]
async def publish(producer: AIOKafkaProducer, rows: Sequence[Row], *, give_up: float = 30) -> None:
    """Send `rows` in order, to one partition after the other."""
    async with asyncio.timeout(give_up):
        for number, row in enumerate(rows):
            partitions = sorted(await producer.partitions_for(row.topic))
            await producer.send_and_wait(
                row.topic,
                row.payload.encode(),
                key=row.key.encode(),
                partition=partitions[number % len(partitions)],
                headers=[("event-id", str(row.event_id).encode())],
            )
            # --8<-- [end:publish]
