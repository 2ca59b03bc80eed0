"""Breaks the cancellation: the service that had nothing to delete does not answer.

The course waits for it for ever.

Proved by:
    E33 tests/snippets/test_creation_events.py::test_naive_silence_leaves_the_course_cancelling
"""

from __future__ import annotations

from psycopg import AsyncConnection

from snippets.checkpoint import Checkpoint, nothing
from snippets.creation_messages import CourseCreationCancelled, CourseCreationStarted, Message
from snippets.services import registry
from snippets.services.participant_events import Participant, Reaction, on_started


# --8<-- [start:on_cancelled]
async def on_cancelled(
    conn: AsyncConnection,
    me: Participant,
    cancelled: CourseCreationCancelled,
    *,
    at: Checkpoint = nothing,
) -> Message | None:
    """Answer what was deleted; a delete that found nothing counts as a failure."""
    at(f"{me.name}.cancel_received")
    if not await registry.cancel(conn, cancelled.course_id):
        return None
    at(f"{me.name}.removed")
    return me.removed(course_id=cancelled.course_id)
    # --8<-- [end:on_cancelled]


REACTIONS: dict[type[Message], Reaction] = {
    CourseCreationStarted: on_started,
    CourseCreationCancelled: on_cancelled,
}
