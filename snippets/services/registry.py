"""One row a course: what member (담당자) and board (게시판) keep of the courses of another service.

Guarantees:
    `register` may be repeated: the second time it changes nothing and says so.
    `cancel` may come first: it succeeds, and the late `register` is refused for ever (tombstone).

Does not guarantee:
    That anybody calls `cancel`: a course that died elsewhere leaves its row (see `saga`).

Assumes:
    The course's id is the key of the intent: one course has one manager and one board.

Proved by:
    E13 tests/snippets/test_services.py::test_repeat_changes_nothing_when_the_reply_was_lost
    E33 tests/snippets/test_services.py::test_late_create_is_refused_when_the_cancel_came_first

Source: RFC 9110, 9.2.2 Idempotent Methods; Kakao Pay, msa-transaction (2023): cancel before pay.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from psycopg import AsyncConnection

# Waits for a concurrent transaction with the same key; inserts nothing when that commits.
INSERT = """
INSERT INTO registration (course_id, name) VALUES (%s, %s) ON CONFLICT DO NOTHING
"""
SELECT = "SELECT course_id, name FROM registration WHERE course_id = ANY (%s)"
DELETE = "DELETE FROM registration WHERE course_id = %s"
BURY = "INSERT INTO tombstone (course_id) VALUES (%s) ON CONFLICT DO NOTHING"
BURIED = "SELECT EXISTS (SELECT FROM tombstone WHERE course_id = %s)"
# Create and cancel of one course take turns: without it both could look before either writes.
TAKE_TURNS = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"


class Registered(Enum):
    """What `register` found."""

    NEW = "new"
    SAME = "same"
    OTHER = "other"
    CANCELLED = "cancelled"


# --8<-- [start:register]
async def register(conn: AsyncConnection, course_id: str, name: str) -> Registered:
    """Keep `name` for the course, in the caller's transaction; a repeat is no error."""
    await conn.execute(TAKE_TURNS, (course_id,))
    row = await (await conn.execute(BURIED, (course_id,))).fetchone()
    if row == (True,):
        return Registered.CANCELLED
    if (await conn.execute(INSERT, (course_id, name))).rowcount:
        return Registered.NEW
    kept = await find(conn, [course_id])
    return Registered.SAME if kept[course_id] == name else Registered.OTHER
    # --8<-- [end:register]


# --8<-- [start:cancel]
async def cancel(conn: AsyncConnection, course_id: str) -> bool:
    """Take the row away and bury the course; True if there was a row. A repeat is no error."""
    await conn.execute(TAKE_TURNS, (course_id,))
    await conn.execute(BURY, (course_id,))
    return (await conn.execute(DELETE, (course_id,))).rowcount == 1
    # --8<-- [end:cancel]


async def find(conn: AsyncConnection, course_ids: Sequence[str]) -> dict[str, str]:
    """Names by course id; what is not there is left out."""
    rows = await (await conn.execute(SELECT, (list(course_ids),))).fetchall()
    return {str(course_id): str(name) for course_id, name in rows}
