"""Breaks off one of two moves: each has locked the course that the other one needs (40P01).

Nothing is lost, PostgreSQL ends one of them; but both have waited for `deadlock_timeout` (1 s), and
so has everybody behind them. The right way: `snippets.seats.move`.

Proved by:
    E8 tests/snippets/test_seats.py::test_one_move_is_refused_when_two_lock_in_opposite_order
"""

from __future__ import annotations

from psycopg import Connection

from snippets.checkpoint import Checkpoint, nothing
from snippets.seats import give_back, take


# --8<-- [start:move]
def move(conn: Connection, source: str, target: str, *, at: Checkpoint = nothing) -> None:
    """Move a member from one course to another, in the caller's transaction; raises `NoSeat`."""
    give_back(conn, source)
    at("seats.given_back")
    take(conn, target)
    # --8<-- [end:move]
