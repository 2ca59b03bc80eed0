"""Loses updates: the program reads a number, adds one, and writes the sum.

What others have committed between the read and the write is overwritten. The code is right only
with a lock taken before the read, or at REPEATABLE READ and run again after a 40001.
The right ways: `snippets.seats`, `snippets.transact`.

Proved by:
    E4 tests/snippets/test_seats.py::test_seats_are_lost_when_clients_read_before_others_write
"""

from __future__ import annotations

from psycopg import Connection

from snippets.checkpoint import Checkpoint, nothing
from snippets.seats import WRITE, read


# --8<-- [start:take]
def take(conn: Connection, course_id: str, *, at: Checkpoint = nothing) -> None:
    """Take a seat in the caller's transaction; raises `NoSeat`."""
    seats = read(conn, course_id)
    at("seats.read")
    conn.execute(WRITE, (seats.one_more(), course_id))
    # --8<-- [end:take]
