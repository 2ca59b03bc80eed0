"""Events in a topic, and what a consumer has made of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol
from uuid import UUID, uuid4

from aiokafka import AIOKafkaProducer

from handbook.lab import Workspace, wait_until
from snippets import group, relay
from snippets.consumer import Handler, consume
from snippets.relay import Row
from snippets.retry import retrying


class Publish(Protocol):
    """What both ways to send are."""

    async def __call__(
        self, producer: AIOKafkaProducer, rows: Sequence[Row], *, give_up: float = 30
    ) -> None:
        """Send."""


async def send(
    workspace: Workspace,
    topic: str,
    events: Iterable[tuple[str, Any]],
    *,
    publish: Publish = relay.publish,
) -> list[UUID]:
    """Publish (key, payload) pairs as the relay does; their ids."""
    name = workspace.topic(topic)
    rows = [Row(0, uuid4(), name, key, json.dumps(payload)) for key, payload in events]
    async with relay.producer_for(workspace.kafka) as producer:
        await publish(producer, rows)
    return [row.event_id for row in rows]


@asynccontextmanager
async def consuming(
    workspace: Workspace, topics: Sequence[str], handler: Handler, **options: Any
) -> AsyncIterator[None]:
    """A consumer in this process for the time of the block."""
    stop, group = asyncio.Event(), options.pop("group", name(workspace))
    how, dsn = options.pop("how", consume), options.pop("dsn", workspace.dsn)
    running = asyncio.create_task(
        how(dsn, workspace.kafka, topics, group, handler, stop=stop, **options)
    )
    try:
        yield
    finally:
        stop.set()
        await running


def courses(count: int, first: int = 0) -> list[tuple[str, Mapping[str, Any]]]:
    """Events of `count` courses; each has a manager of its own, so that effects can be told."""
    return [(f"c-{n}", {"manager": f"m-{n}"}) for n in range(first, first + count)]


def name(workspace: Workspace) -> str:
    """The consumer group: Kafka is shared, so it holds the run's id."""
    return f"member.{workspace.run_id}"


async def lag(workspace: Workspace, topic: str) -> int:
    """What waits for the group."""
    places = [workspace.topic(topic)]
    waiting: int = await retrying()(group.lag, workspace.kafka, places, name(workspace))
    return waiting


def wait_for_lag(workspace: Workspace, topic: str, expected: int = 0) -> None:
    """Until exactly so much waits."""
    wait_until(
        lambda: asyncio.run(lag(workspace, topic)) == expected,
        what=f"a lag of {expected}",
        seen=lambda: asyncio.run(lag(workspace, topic)),
    )
