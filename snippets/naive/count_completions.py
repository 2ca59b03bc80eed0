"""Loses a completion: two replies read the same count, and both write one less.

The course then runs for ever. And a reply that is repeated counts twice: the course is complete
without its board.

Proved by:
    E34 tests/snippets/test_course_creation.py::test_naive_count_is_stuck_when_two_come_at_once
    E34 tests/snippets/test_course_creation.py::test_naive_count_is_complete_when_one_is_repeated
"""

from __future__ import annotations

from psycopg import AsyncConnection

from snippets.creation_messages import PARTICIPANTS, Reply
from snippets.services.catalogue import Course

CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS creation_count (
    course_id text PRIMARY KEY,
    missing   int NOT NULL,
    state     text NOT NULL DEFAULT 'running'
)
"""
BEGIN = "INSERT INTO creation_count (course_id, missing) VALUES (%s, %s)"
LOOK = "SELECT missing FROM creation_count WHERE course_id = %s"
WRITE = "UPDATE creation_count SET missing = %s, state = %s WHERE course_id = %s"


class CourseCreation:
    """The happy half is enough to be wrong."""

    async def start(self, conn: AsyncConnection, course: Course) -> bool:
        """As many are missing as there are participants."""
        await conn.execute(BEGIN, (course.id, len(PARTICIPANTS)))
        return True

    # --8<-- [start:on_reply]
    async def on_reply(self, conn: AsyncConnection, reply: Reply) -> str:
        """One less is missing than there was a moment ago."""
        row = await (await conn.execute(LOOK, (reply.course_id,))).fetchone()
        assert row is not None
        missing = row[0] - 1
        state = "running" if missing else "completed"
        await conn.execute(WRITE, (missing, state, reply.course_id))
        return state
        # --8<-- [end:on_reply]
