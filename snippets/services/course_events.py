"""The course service (과정) where it creates courses by events: requests, replies, watchdog."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

from psycopg import AsyncConnection

from snippets.checkpoint import Checkpoint, nothing
from snippets.consumer import Delivery, Handler
from snippets.course_creation import CourseCreation, Status
from snippets.creation_messages import read_reply
from snippets.outbox import Doorbell
from snippets.services import worker
from snippets.services.catalogue import Course


# --8<-- [start:create]
async def create(
    conn: AsyncConnection, creation: CourseCreation, course: Course, bell: Doorbell
) -> Status:
    """What a request to create a course does; a repeat finds what the first has begun.

    Args:
        conn: In autocommit mode.
        creation: The service's own.
        course: What is asked for.
        bell: Wakes the relay after the commit.

    Raises:
        NoPlace: the term is full or unknown.
    """
    async with conn.transaction():
        await creation.start(conn, replace(course, style="events"))
    creation.at("creation.committed")
    bell.ring()
    begun = await creation.status(conn, course.id)
    creation.at("creation.answered")
    return begun
    # --8<-- [end:create]


async def status(conn: AsyncConnection, creation: CourseCreation, course_id: str) -> Status:
    """What a caller gets who asks how far it is; raises `UnknownCreation`."""
    creation.at("creation.asked")
    return await creation.status(conn, course_id)


def on_reply(creation: CourseCreation) -> Handler:
    """The handler for what member and board say."""

    async def handle(conn: AsyncConnection, delivery: Delivery) -> None:
        await creation.on_reply(conn, read_reply(delivery.payload))

    return handle


# --8<-- [start:watch]
async def watch(
    dsn: str, creation: CourseCreation, bell: Doorbell, stop: asyncio.Event, *, every: float = 1.0
) -> None:
    """Every so many seconds, cancel what did not end in time, until `stop`."""
    async with await AsyncConnection.connect(dsn, autocommit=True) as conn:
        while not stop.is_set():
            async with conn.transaction():
                overdue = await creation.cancel_overdue(conn)
            if overdue:
                creation.at("creation.overdue")
                bell.ring()
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), every)
                # --8<-- [end:watch]


async def main(
    dsn: str,
    kafka: Mapping[str, Any],
    topics: Mapping[str, str],
    *,
    courses: Sequence[Mapping[str, Any]] = (),
    patience: float = 30.0,
    instance: str = "1",
    stop: asyncio.Event | None = None,
    at: Checkpoint = nothing,
) -> None:
    """The process: create `courses`, then take replies and watch the time, until `stop`.

    Args:
        dsn: Its own database.
        kafka: How any client reaches Kafka.
        topics: The physical names of `course`, `member`, `board` and `dead-letters`.
        courses: What to create first: `id`, `title` and `manager` of each.
        patience: Seconds that a state may last.
        instance: Which of the service's processes this is.
        stop: Ends it.
        at: Fault points.
    """
    creation = CourseCreation(topics["course"], patience=timedelta(seconds=patience), at=at)

    async def ask(bell: Doorbell, _: asyncio.Event) -> None:
        async with await AsyncConnection.connect(dsn, autocommit=True) as conn:
            for course in courses:
                await create(conn, creation, Course(**course), bell)
                await status(conn, creation, course["id"])

    async def watchdog(bell: Doorbell, stop: asyncio.Event) -> None:
        await watch(dsn, creation, bell, stop, every=min(1.0, patience / 4))

    await worker.run(
        dsn,
        kafka,
        service="course",
        topics=[topics["member"], topics["board"]],
        group=topics["course"],
        handler=on_reply(creation),
        dead_letters=topics["dead-letters"],
        beside=[ask, watchdog],
        instance=instance,
        stop=stop,
        at=at,
    )
