"""The course service (과정): creates a course and tells the other services of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from uuid import UUID, uuid4

from psycopg import AsyncConnection

from snippets import outbox
from snippets.checkpoint import Checkpoint, nothing

CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS course (
    id      text PRIMARY KEY,
    title   text NOT NULL,
    manager text NOT NULL
)
"""
# Locks the new row until the transaction ends: the lock that `outbox` asks its writers for.
INSERT = "INSERT INTO course (id, title, manager) VALUES (%(id)s, %(title)s, %(manager)s)"


@dataclass(frozen=True)
class Course:
    """A course and its manager (담당자)."""

    id: str
    title: str
    manager: str


def course_created(topic: str, course: Course, *, event_id: UUID | None = None) -> outbox.Event:
    """The event that member and board act on."""
    return outbox.Event(event_id or uuid4(), topic, course.id, asdict(course))


async def insert(conn: AsyncConnection, course: Course) -> None:
    """Store the course in the caller's transaction."""
    await conn.execute(INSERT, asdict(course))


# --8<-- [start:create]
async def create_course(
    conn: AsyncConnection, topic: str, course: Course, *, at: Checkpoint = nothing
) -> None:
    """Store the course and its event in one transaction; the relay sends the event."""
    async with conn.transaction():
        await insert(conn, course)
        await outbox.write(conn, course_created(topic, course))
        at("course.written")
    at("course.committed")
    # --8<-- [end:create]


async def main(
    dsn: str, topic: str, courses: list[dict[str, str]], *, at: Checkpoint = nothing
) -> None:
    """A process that creates `courses` one after the other."""
    async with await AsyncConnection.connect(dsn, autocommit=True) as conn:
        for course in courses:
            await create_course(conn, topic, Course(**course), at=at)
