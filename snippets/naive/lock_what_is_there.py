"""Breaks the rule of one course at a time: it locks the bookings that exist, and there are none.

FOR UPDATE locks the rows that it returns. PostgreSQL has no lock on the gap between them: whoever
inserts a row that would have been among them does not wait.
The right ways: `snippets.halls`; this code after `snippets.locks.take_turn`, or at SERIALIZABLE.

Proved by:
    E7 tests/snippets/test_halls.py::test_two_courses_get_one_hall_when_existing_rows_are_locked
"""

from __future__ import annotations

from psycopg import Connection

from snippets.checkpoint import Checkpoint, nothing
from snippets.halls import Occupied, Period

# --8<-- [start:look]
# Locks the rows that it returns, and no others.
LOOK = """
SELECT course_id FROM hall_booking WHERE hall = %s AND during && %s
FOR UPDATE
"""
# --8<-- [end:look]
INSERT = "INSERT INTO hall_booking (hall, during, course_id) VALUES (%s, %s, %s)"


# --8<-- [start:book]
def book(
    conn: Connection,
    hall: int,
    during: Period,
    course_id: str,
    *,
    at: Checkpoint = nothing,
) -> None:
    """Give the hall to a course, in the caller's transaction; raises `Occupied`."""
    if conn.execute(LOOK, (hall, during)).rowcount:
        raise Occupied(f"hall {hall} is occupied at that time")
    at("halls.looked")
    conn.execute(INSERT, (hall, during, course_id))
    # --8<-- [end:book]
