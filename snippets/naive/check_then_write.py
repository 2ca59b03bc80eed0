"""Breaks the rule that one stays on duty: each sees the other on duty, and both step down.

Write skew: the two write different rows, so neither a row lock nor REPEATABLE READ notices.
The right ways: `snippets.duty`, or this code at SERIALIZABLE (`snippets.transact`).

Proved by:
    E6 tests/snippets/test_duty.py::test_nobody_is_on_duty_when_both_read_before_either_writes
"""

from __future__ import annotations

from psycopg import Connection

from snippets.checkpoint import Checkpoint, nothing
from snippets.duty import STEP_DOWN, on_duty, refuse_last


# --8<-- [start:step_down]
def step_down(conn: Connection, course_id: str, manager: str, *, at: Checkpoint = nothing) -> None:
    """Take a manager off duty, in the caller's transaction; raises `LastOnDuty`."""
    managers = on_duty(conn, course_id)
    at("duty.read")
    refuse_last(managers, manager)
    conn.execute(STEP_DOWN, (course_id, manager))
    # --8<-- [end:step_down]
