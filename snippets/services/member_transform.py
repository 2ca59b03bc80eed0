"""The member service (멤버) as a transformer: each created course becomes news of its manager."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping
from typing import Any

from aiokafka import TopicPartition
from psycopg import AsyncConnection

from snippets.checkpoint import Checkpoint, nothing
from snippets.delivery import Delivery
from snippets.kafka_transaction import transform
from snippets.services.member import on_course_created


# --8<-- [start:derive]
async def derive(conn: AsyncConnection, delivery: Delivery) -> Mapping[str, Any]:
    """Count the course, once however often it is asked to; the news."""
    manager = delivery.payload["manager"]
    await on_course_created(conn, delivery.event_id, manager)
    return {"manager": manager, "course": delivery.key}
    # --8<-- [end:derive]


async def main(
    dsn: str,
    kafka: Mapping[str, Any],
    source: str,
    target: str,
    group: str,
    *,
    partition: int = 0,
    batch: int = 100,
    way: str = "snippets.services.member_transform",
    stop: asyncio.Event | None = None,
    at: Checkpoint = nothing,
) -> None:
    """A process for one partition of `source`; `way`: the module whose `derive` it uses."""
    chosen = importlib.import_module(way).derive
    async with await AsyncConnection.connect(dsn, autocommit=True) as conn:

        async def derived(delivery: Delivery) -> Mapping[str, Any]:
            news: Mapping[str, Any] = await chosen(conn, delivery)
            return news

        place = TopicPartition(source, partition)
        await transform(kafka, place, target, derived, group=group, batch=batch, stop=stop, at=at)
