"""Halls: one course at a time in a hall, a rule that a constraint keeps.

Guarantees:
    Of all bookings that overlap in one hall one is committed; the others get `Occupied`, at every
    isolation level and whatever else writes to the table.
    A booking waits for one that overlaps and is not committed yet, and for no other.

Does not guarantee:
    Rules that no constraint can say: those need SERIALIZABLE (`transact`), or a lock on something
    that does exist, such as a name (`locks.take_turn`).

Assumes:
    `NO_OVERLAP` is on the table. A UNIQUE key would stop the same time, but not one that overlaps.
    From REPEATABLE READ on, a loser may get 40001 instead of `Occupied`.

Proved by:
    E7 tests/snippets/test_halls.py::test_one_course_gets_the_hall_when_a_constraint_decides
    E7 tests/snippets/test_halls.py::test_overlap_passes_when_the_key_is_only_unique
    E7 tests/snippets/test_halls.py::test_booking_waits_when_an_overlapping_one_is_open

Source: PostgreSQL 18, CREATE TABLE, EXCLUDE; 8.17.10 Constraints on Ranges; INSERT, ON CONFLICT;
13.3.2 Row-Level Locks.
"""

from __future__ import annotations

from datetime import datetime

from psycopg import Connection
from psycopg.types.range import Range

from snippets.checkpoint import Checkpoint, nothing
from snippets.errors import Rejected

CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS hall_booking (
    hall      int NOT NULL,
    during    tstzrange NOT NULL CHECK (NOT isempty(during)),
    course_id text NOT NULL
)
"""
# --8<-- [start:constraint]
# GiST compares ranges: a range of one number stands for the hall (or install btree_gist, and write
# `hall WITH =`).
NO_OVERLAP = """
ALTER TABLE hall_booking ADD CONSTRAINT one_course_at_a_time
EXCLUDE USING gist (int4range(hall, hall, '[]') WITH &&, during WITH &&)
"""
# --8<-- [end:constraint]
SAME_TIME = "ALTER TABLE hall_booking ADD CONSTRAINT one_course_a_time UNIQUE (hall, during)"
# --8<-- [start:book_sql]
# Waits for a concurrent transaction that inserts an overlapping row, and inserts nothing when that
# commits. Without ON CONFLICT it would raise 23P01, and end the caller's transaction with it.
BOOK = """
INSERT INTO hall_booking (hall, during, course_id) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING
"""
# --8<-- [end:book_sql]
BOOKED = "SELECT course_id FROM hall_booking WHERE hall = %s ORDER BY course_id"

Period = Range[datetime]


class Occupied(Rejected):
    """Another course has the hall at that time."""


# --8<-- [start:book]
def book(
    conn: Connection,
    hall: int,
    during: Period,
    course_id: str,
    *,
    at: Checkpoint = nothing,
) -> None:
    """Give the hall to a course, in the caller's transaction.

    Args:
        conn: The caller's transaction.
        hall: Its number.
        during: From when to when, with time zone.
        course_id: Who gets it.
        at: Watches `halls.booked`.

    Raises:
        Occupied: another course has it at that time.
    """
    if not conn.execute(BOOK, (hall, during, course_id)).rowcount:
        raise Occupied(f"hall {hall} is occupied at that time")
    at("halls.booked")
    # --8<-- [end:book]


def booked(conn: Connection, hall: int) -> list[str]:
    """The courses that have the hall at some time."""
    return [course_id for (course_id,) in conn.execute(BOOKED, (hall,))]
