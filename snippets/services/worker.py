"""The event half of a service as a process: its consumer, its relay, and what else it does.

One process, so that the relay is told at once of an answer that the consumer has committed. If one
part fails the process ends, and whoever started it starts it again: nothing is in memory only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection

from snippets import relay
from snippets.checkpoint import Checkpoint, nothing
from snippets.consumer import Handler, consume
from snippets.group import Membership
from snippets.outbox import Doorbell, doorbell
from snippets.services.migrate import files, migrate

Beside = Callable[[Doorbell, asyncio.Event], Coroutine[None, None, None]]
"""What else the process does until the event is set; rings after its commits."""


@dataclass(frozen=True)
class Named(Membership):
    """A member that Kafka knows by name: when it comes back it goes on at once (KIP-345).

    Attributes:
        group_instance_id: Unique in its group; the same after a restart.
    """

    group_instance_id: str = ""


# --8<-- [start:run]
async def run(
    dsn: str,
    kafka: Mapping[str, Any],
    *,
    service: str,
    topics: Sequence[str],
    group: str,
    handler: Handler,
    dead_letters: str | None = None,
    beside: Sequence[Beside] = (),
    instance: str = "1",
    stop: asyncio.Event | None = None,
    at: Checkpoint = nothing,
) -> None:
    """Handle events and send what the outbox holds, until `stop`.

    Args:
        dsn: The service's own database.
        kafka: How any client reaches Kafka.
        service: Names its migrations.
        topics: What it reads.
        group: Its consumer group; has the name of the topic that the service itself speaks on.
        handler: What it does with each event.
        dead_letters: Where events go that cannot be handled.
        beside: What else it does.
        instance: Which of the service's processes this is.
        stop: Ends all of it after the event in hand.
        at: Fault points.
    """
    stop = stop or asyncio.Event()
    await prepare(dsn, service)
    async with doorbell(dsn) as bell, asyncio.TaskGroup() as parts:
        parts.create_task(relay.main(dsn, kafka, stop=stop, at=at))
        parts.create_task(
            consume(
                dsn,
                kafka,
                topics,
                group,
                handler,
                dead_letters=dead_letters,
                membership=Named(group_instance_id=f"{group}-{instance}"),
                stop=stop,
                committed=bell.ring,
                at=at,
            )
        )
        for part in beside:
            parts.create_task(part(bell, stop))
            # --8<-- [end:run]


async def prepare(dsn: str, service: str) -> None:
    """Bring the service's tables up to date, in turn with other processes that do so."""
    async with await AsyncConnection.connect(dsn, autocommit=True) as conn:
        await migrate(conn, files(service))
