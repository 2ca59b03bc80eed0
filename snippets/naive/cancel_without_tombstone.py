"""Breaks the cancellation: when it comes first, nothing stops the event that comes after it.

The row stays for ever, for a course that does not exist: a zombie.

Proved by:
    E33 tests/snippets/test_creation_events.py::test_naive_cancel_leaves_zombies_when_it_comes_first
"""

from __future__ import annotations

from psycopg import AsyncConnection

from snippets.checkpoint import Checkpoint, nothing
from snippets.creation_messages import CourseCreationCancelled, CourseCreationStarted, Message
from snippets.services.participant_events import Participant, Reaction

INSERT = "INSERT INTO registration (course_id, name) VALUES (%s, %s) ON CONFLICT DO NOTHING"
DELETE = "DELETE FROM registration WHERE course_id = %s"


# --8<-- [start:on_started]
async def on_started(
    conn: AsyncConnection,
    me: Participant,
    started: CourseCreationStarted,
    *,
    at: Checkpoint = nothing,
) -> Message | None:
    """Add the row."""
    await conn.execute(INSERT, (started.course_id, me.wanted(started)))
    at(f"{me.name}.added")
    return me.added(course_id=started.course_id)
    # --8<-- [end:on_started]


# --8<-- [start:on_cancelled]
async def on_cancelled(
    conn: AsyncConnection,
    me: Participant,
    cancelled: CourseCreationCancelled,
    *,
    at: Checkpoint = nothing,
) -> Message | None:
    """Delete the row, and forget the course."""
    await conn.execute(DELETE, (cancelled.course_id,))
    at(f"{me.name}.removed")
    return me.removed(course_id=cancelled.course_id)
    # --8<-- [end:on_cancelled]


REACTIONS: dict[type[Message], Reaction] = {
    CourseCreationStarted: on_started,
    CourseCreationCancelled: on_cancelled,
}
