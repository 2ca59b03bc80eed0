"""The member service (멤버) as a consumer: counts the courses of each manager (담당자)."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import AsyncConnection

from snippets.checkpoint import Checkpoint, nothing
from snippets.delivery import Delivery
from snippets.group import Membership
from snippets.services.member import add_course


# --8<-- [start:handle]
async def on_course_created(conn: AsyncConnection, delivery: Delivery) -> None:
    """Count one more course; wrong when it happens twice, or not at all."""
    await add_course(conn, delivery.payload["manager"])
    # --8<-- [end:handle]


async def main(
    dsn: str,
    kafka: Mapping[str, Any],
    topics: Sequence[str],
    group: str = "member",
    *,
    way: str = "snippets.consumer",
    membership: Mapping[str, Any] | None = None,
    stop: asyncio.Event | None = None,
    at: Checkpoint = nothing,
    **more: Any,
) -> None:
    """A consumer process.

    Args:
        dsn: The member service's database.
        kafka: How any client reaches Kafka.
        topics: Where courses are told of.
        group: The member service.
        way: The module whose `consume` does it; labs name a naive one.
        membership: Values of `Membership`.
        stop: Ends it.
        at: Fault points of `consume`, and `handler.begun` inside the transaction.
        more: What this `consume` takes besides.
    """

    async def handler(conn: AsyncConnection, delivery: Delivery) -> None:
        at("handler.begun")
        await on_course_created(conn, delivery)

    consume = importlib.import_module(way).consume
    watched = Membership(**(membership or {}))
    await consume(dsn, kafka, topics, group, handler, membership=watched, stop=stop, at=at, **more)
