"""Seats: count up one row that many want to change, and lose no update.

Guarantees:
    `taken` grows by one for each committed call, and never beyond `capacity`, by any of three ways
    at READ COMMITTED: one atomic statement (`take`), a row lock around reading and writing
    (`take_locked`), a version that must not have changed (`take_versioned`).
    Two `move`s never end in a deadlock: both lock their courses in one order.

Does not guarantee:
    That `take_versioned` succeeds: of those that read together one does, the others get `Conflict`.
    That it is quick: all three wait for the transaction that wrote the row last.

Assumes:
    Every writer of the row raises its version; whoever does not is not seen by `take_versioned`.
    A `Conflict` is answered by a new read in a new transaction (`retry`), not by a repeated write.

Proved by:
    E4 tests/snippets/test_seats.py::test_no_seat_is_lost_when_eight_clients_take_fifty_each
    E4 tests/snippets/test_seats.py::test_one_of_eight_succeeds_when_all_have_read_one_version
    E8 tests/snippets/test_seats.py::test_nobody_is_refused_when_courses_are_locked_in_order

Source: PostgreSQL 18, 13.2.1 Read Committed, 13.3.2 Row-Level Locks; Kung and Robinson, On
Optimistic Methods for Concurrency Control (TODS 1981).
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import Connection

from snippets.checkpoint import Checkpoint, nothing
from snippets.errors import Rejected, Retriable
from snippets.locks import Strength, lock_in_order

# --8<-- [start:table]
CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS course_seats (
    id       text PRIMARY KEY,             -- the course's
    capacity int NOT NULL,
    taken    int NOT NULL DEFAULT 0 CHECK (taken BETWEEN 0 AND capacity),
    version  int NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS enrolment (
    course_id text REFERENCES course_seats,
    member    text,
    PRIMARY KEY (course_id, member)
);
"""
# --8<-- [end:table]

OPEN = "INSERT INTO course_seats (id, capacity) VALUES (%s, %s)"
READ = "SELECT id, capacity, taken, version FROM course_seats WHERE id = %s"
# The lock that the UPDATE takes anyway. FOR UPDATE would also keep out enrolments, whose foreign
# key locks the course FOR KEY SHARE.
READ_LOCKED = f"{READ} FOR NO KEY UPDATE"
WRITE = "UPDATE course_seats SET taken = %s, version = version + 1 WHERE id = %s"
# --8<-- [start:take_sql]
# Locks the row FOR NO KEY UPDATE. When it has to wait it looks again at what was committed since.
TAKE = """
UPDATE course_seats SET taken = taken + 1, version = version + 1
WHERE id = %s AND taken < capacity
"""
# --8<-- [end:take_sql]
# --8<-- [start:save_sql]
# Locks the row FOR NO KEY UPDATE, and finds none when the version has moved on.
SAVE = """
UPDATE course_seats SET taken = %s, version = version + 1
WHERE id = %s AND version = %s
"""
# --8<-- [end:save_sql]
GIVE_BACK = """
UPDATE course_seats SET taken = taken - 1, version = version + 1
WHERE id = %s AND taken > 0
"""
# Locks the course FOR KEY SHARE: waits for FOR UPDATE and DELETE, not for FOR NO KEY UPDATE.
# Waits for a concurrent transaction that inserts the same key.
ENROL = "INSERT INTO enrolment (course_id, member) VALUES (%s, %s)"


class NoSeat(Rejected):
    """All seats are taken, none is to give back, or there is no such course."""


class Conflict(Retriable):
    """Another transaction has written the row since it was read; read again, decide again."""


@dataclass(frozen=True)
class Seats:
    """The seats (정원) of a course, as they were read."""

    course_id: str
    capacity: int
    taken: int
    version: int

    def one_more(self) -> int:
        """What `taken` is with one more; raises `NoSeat`."""
        if self.taken >= self.capacity:
            raise NoSeat(f"all {self.capacity} seats of course {self.course_id} are taken")
        return self.taken + 1


def open_course(conn: Connection, course_id: str, capacity: int) -> None:
    """A course with free seats."""
    conn.execute(OPEN, (course_id, capacity))


def read(conn: Connection, course_id: str) -> Seats:
    """The seats as they are; anybody may change them right after. Raises `NoSeat`."""
    return _seats(conn, READ, course_id)


# --8<-- [start:take]
def take(conn: Connection, course_id: str) -> None:
    """Take a seat in the caller's transaction, in one statement; raises `NoSeat`."""
    if not conn.execute(TAKE, (course_id,)).rowcount:
        raise NoSeat(f"course {course_id} has no seat left, or does not exist")
    # --8<-- [end:take]


# --8<-- [start:take_locked]
def take_locked(conn: Connection, course_id: str, *, at: Checkpoint = nothing) -> None:
    """Take a seat in the caller's transaction; others wait from the read on. Raises `NoSeat`."""
    seats = _seats(conn, READ_LOCKED, course_id)
    at("seats.read")
    conn.execute(WRITE, (seats.one_more(), course_id))
    # --8<-- [end:take_locked]


# --8<-- [start:take_versioned]
def take_versioned(conn: Connection, course_id: str, *, at: Checkpoint = nothing) -> None:
    """Take a seat in the caller's transaction, if nobody was quicker.

    Raises:
        NoSeat: all seats are taken, or there is no such course.
        Conflict: somebody was quicker.
    """
    seats = read(conn, course_id)
    at("seats.read")
    save(conn, seats, seats.one_more())


def save(conn: Connection, seats: Seats, taken: int) -> None:
    """Write `taken` over what was read, in this transaction or an earlier one; see `Conflict`."""
    if not conn.execute(SAVE, (taken, seats.course_id, seats.version)).rowcount:
        raise Conflict(f"course {seats.course_id} is no longer at version {seats.version}")
    # --8<-- [end:take_versioned]


def give_back(conn: Connection, course_id: str) -> None:
    """Give a seat back in the caller's transaction; raises `NoSeat`."""
    if not conn.execute(GIVE_BACK, (course_id,)).rowcount:
        raise NoSeat(f"course {course_id} has no seat to give back, or does not exist")


# --8<-- [start:move]
def move(conn: Connection, source: str, target: str, *, at: Checkpoint = nothing) -> None:
    """Move a member from one course to another, in the caller's transaction; raises `NoSeat`."""
    lock_in_order(conn, "course_seats", [source, target], Strength.NO_KEY_UPDATE)
    give_back(conn, source)
    at("seats.given_back")
    take(conn, target)
    # --8<-- [end:move]


def enrol(conn: Connection, course_id: str, member: str) -> None:
    """Put a member on the list, in the caller's transaction; takes no seat.

    Raises:
        psycopg.errors.UniqueViolation: 23505, the member is on the list.
        psycopg.errors.ForeignKeyViolation: 23503, there is no such course.
    """
    conn.execute(ENROL, (course_id, member))


def _seats(conn: Connection, query: str, course_id: str) -> Seats:
    row = conn.execute(query, (course_id,)).fetchone()
    if row is None:
        raise NoSeat(f"there is no course {course_id}")
    return Seats(*row)
