"""Duty: a rule about several rows, kept by locking the rows that it reads.

Guarantees:
    At least one manager (담당자) of a course stays on duty, however many step down at once, at
    READ COMMITTED: whoever comes second waits, and sees what the first one did.

Does not guarantee:
    A rule that rows which do not exist yet could break: there is nothing to lock (see `halls`).
    Concurrency: those who step down from one course take turns.

Assumes:
    Whoever else takes managers off duty does it here, or locks the same rows.
    Above READ COMMITTED the second one gets 40001, and is run again (`transact`).

Proved by:
    E6 tests/snippets/test_duty.py::test_one_stays_on_duty_when_the_rows_are_locked
    E6 tests/snippets/test_duty.py::test_second_waits_when_the_first_has_not_committed

Source: Berenson et al., A Critique of ANSI SQL Isolation Levels (SIGMOD 1995), A5B write skew;
PostgreSQL 18, 13.2.2 Repeatable Read, 13.4.2 Enforcing Consistency with Explicit Blocking Locks.
"""

from __future__ import annotations

from psycopg import Connection

from snippets.checkpoint import Checkpoint, nothing
from snippets.errors import Rejected

CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS duty (
    course_id text,
    manager   text,
    on_duty   boolean NOT NULL DEFAULT true,
    PRIMARY KEY (course_id, manager)
)
"""
ASSIGN = "INSERT INTO duty (course_id, manager) VALUES (%s, %s)"
ON_DUTY = "SELECT manager FROM duty WHERE course_id = %s AND on_duty ORDER BY manager"
# --8<-- [start:lock_sql]
# Locks all rows that the rule reads, in one order. A row that another transaction has taken off
# duty in the meantime is looked at again, and is then not among them.
LOCK_ON_DUTY = f"{ON_DUTY} FOR NO KEY UPDATE"
# --8<-- [end:lock_sql]
STEP_DOWN = "UPDATE duty SET on_duty = false WHERE course_id = %s AND manager = %s"


class LastOnDuty(Rejected):
    """Nobody else is on duty."""


def assign(conn: Connection, course_id: str, manager: str) -> None:
    """Put a manager on duty, in the caller's transaction."""
    conn.execute(ASSIGN, (course_id, manager))


def on_duty(conn: Connection, course_id: str) -> list[str]:
    """Who is on duty, by name."""
    return [manager for (manager,) in conn.execute(ON_DUTY, (course_id,))]


# --8<-- [start:step_down]
def step_down(conn: Connection, course_id: str, manager: str, *, at: Checkpoint = nothing) -> None:
    """Take a manager off duty, in the caller's transaction; raises `LastOnDuty`."""
    managers = [name for (name,) in conn.execute(LOCK_ON_DUTY, (course_id,))]
    at("duty.read")
    refuse_last(managers, manager)
    conn.execute(STEP_DOWN, (course_id, manager))
    # --8<-- [end:step_down]


def refuse_last(managers: list[str], manager: str) -> None:
    """The rule; raises `LastOnDuty`."""
    if not set(managers) - {manager}:
        raise LastOnDuty(f"{manager} is the last one on duty")
