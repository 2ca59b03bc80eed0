"""Loses the event, or sends a ghost: one change, written to the database and to Kafka one by one.

Whatever the order, a crash between the two writes leaves them different for ever.
The right way: `snippets.services.course.create_course` with `snippets.outbox` and `snippets.relay`.

Shown by: E20 tests/snippets/test_dual_write.py
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaProducer
from psycopg import AsyncConnection

from snippets.checkpoint import Checkpoint, nothing
from snippets.relay import producer_for
from snippets.services.course import Course, course_created, insert


# --8<-- [start:commit_first]
async def commit_then_send(
    conn: AsyncConnection,
    producer: AIOKafkaProducer,
    topic: str,
    course: Course,
    *,
    at: Checkpoint = nothing,
) -> None:
    """A crash in between: the course exists, nobody hears of it."""
    async with conn.transaction():
        await insert(conn, course)
        at("course.written")
    at("course.committed")
    await send(producer, topic, course)
    at("course.sent")
    # --8<-- [end:commit_first]


# --8<-- [start:send_first]
async def send_then_commit(
    conn: AsyncConnection,
    producer: AIOKafkaProducer,
    topic: str,
    course: Course,
    *,
    at: Checkpoint = nothing,
) -> None:
    """A crash in between: everybody hears of a course that does not exist."""
    async with conn.transaction():
        await insert(conn, course)
        at("course.written")
        await send(producer, topic, course)
        at("course.sent")
    at("course.committed")
    # --8<-- [end:send_first]


async def send(producer: AIOKafkaProducer, topic: str, course: Course) -> None:
    """Send the event and wait until Kafka has it."""
    event = course_created(topic, course)
    await producer.send_and_wait(
        topic,
        key=event.key.encode(),
        value=json.dumps(event.payload, ensure_ascii=False).encode(),
        headers=[("event-id", str(event.id).encode())],
    )


ORDERS = {"commit_then_send": commit_then_send, "send_then_commit": send_then_commit}


async def main(
    dsn: str,
    kafka: Mapping[str, Any],
    topic: str,
    courses: list[dict[str, str]],
    order: str,
    *,
    at: Checkpoint = nothing,
) -> None:
    """A process that creates `courses` one after the other."""
    create = ORDERS[order]
    async with (
        await AsyncConnection.connect(dsn, autocommit=True) as conn,
        producer_for(kafka) as producer,
    ):
        for course in courses:
            await create(conn, producer, topic, Course(**course), at=at)
