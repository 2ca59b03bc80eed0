"""Locks: row locks in one order, locks on names, and limits for those who wait.

Guarantees:
    `lock_in_order` locks the rows one after the other by id: callers that lock all they need with
    one call of it never wait for each other in a circle.
    A lock is held until its transaction ends, and ends with it, also when the session dies.
    A plain SELECT waits for none of these locks.

Does not guarantee:
    Anything about rows that do not exist: an INSERT passes (see `halls`).
    An end to waiting, or an order among those who wait. `limit` ends it, with an error.
    Order between two calls in one transaction: the second may ask for what another holds.

Assumes:
    The caller is in a transaction: in autocommit mode a lock would be gone with its statement.
    Whoever uses a lock on a name takes it everywhere: it stops nobody who does not ask for it.

Proved by:
    E8 tests/snippets/test_locks.py::test_rows_are_locked_by_id_when_they_are_named_in_any_order
    E9 tests/snippets/test_locks.py::test_row_locks_conflict_as_the_manual_says
    E9 tests/snippets/test_locks.py::test_child_waits_when_its_parent_is_locked_for_update
    tests/snippets/test_locks.py::test_waiting_ends_with_55P03_when_the_lock_timeout_passes

Source: PostgreSQL 18, 13.3 Explicit Locking (Table 13.3 row locks, 13.3.4 deadlocks, 13.3.5
advisory locks); 19.11 lock_timeout and statement_timeout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from psycopg import Connection
from psycopg.pq import TransactionStatus
from psycopg.sql import SQL, Identifier


# --8<-- [start:strength]
class Strength(Enum):
    """The four row locks, the strongest first."""

    UPDATE = "FOR UPDATE"  # what DELETE takes, and UPDATE of a key
    NO_KEY_UPDATE = "FOR NO KEY UPDATE"  # what any other UPDATE takes
    SHARE = "FOR SHARE"
    KEY_SHARE = "FOR KEY SHARE"  # what a foreign key takes on the parent of a new row


class IfLocked(Enum):
    """What to do about a row that another transaction has locked."""

    WAIT = ""
    FAIL = "NOWAIT"
    SKIP = "SKIP LOCKED"
    # --8<-- [end:strength]


# --8<-- [start:lock_sql]
# Takes the row lock that it names on each row, in the order of the ids: sorted first, then locked.
LOCK = SQL("SELECT id FROM {table} WHERE id = ANY (%s) ORDER BY id {strength} {if_locked}")
# --8<-- [end:lock_sql]
# An exclusive lock on a number, which all sessions of one database share. Two names may have one
# number: their callers then take turns, too.
TAKE_TURN = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"
TRY_TURN = "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))"
LIMIT = "SELECT set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true)"
WAITING = """
SELECT pid, pg_blocking_pids(pid), query FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE NOT granted AND datname = current_database() ORDER BY pid
"""


# --8<-- [start:lock_in_order]
def lock_in_order(
    conn: Connection,
    table: str,
    ids: Sequence[str],
    strength: Strength = Strength.UPDATE,
    if_locked: IfLocked = IfLocked.WAIT,
) -> list[str]:
    """Lock rows of `table` by their column `id`; the ids of those that are locked now, in order.

    Args:
        conn: The caller's transaction.
        table: Its name.
        ids: In any order. What does not exist is not locked, and not among the result.
        strength: The weakest one that keeps out what must not happen.
        if_locked: Wait, fail at once, or leave out what others have locked.

    Raises:
        ValueError: there is no transaction, or `ids` is one string.
        psycopg.errors.LockNotAvailable: 55P03, with `IfLocked.FAIL` or after the lock timeout.
        psycopg.errors.SerializationFailure: 40001, from REPEATABLE READ on: the row was changed.
    """
    if isinstance(ids, str):
        raise ValueError(f"one string is no list of ids: write [{ids!r}]")
    _in_transaction(conn)
    query = LOCK.format(
        table=Identifier(table), strength=SQL(strength.value), if_locked=SQL(if_locked.value)
    )
    return [locked for (locked,) in conn.execute(query, (list(ids),))]
    # --8<-- [end:lock_in_order]


# --8<-- [start:turns]
def take_turn(conn: Connection, name: str) -> None:
    """Wait until no other transaction has `name`, then have it until this one ends.

    Raises:
        ValueError: there is no transaction.
    """
    _in_transaction(conn)
    conn.execute(TAKE_TURN, (name,))


def try_turn(conn: Connection, name: str) -> bool:
    """`take_turn` that does not wait; False if another transaction has `name`."""
    _in_transaction(conn)
    return conn.execute(TRY_TURN, (name,)).fetchone() == (True,)
    # --8<-- [end:turns]


# --8<-- [start:limit]
def limit(conn: Connection, *, lock: float = 1.0, statement: float = 5.0) -> None:
    """Bound the statements of this transaction that come after; nothing is left behind at its end.

    Args:
        conn: The caller's transaction.
        lock: Seconds that a statement may wait for one lock; then 55P03.
        statement: Seconds that a statement may take in all; then 57014.

    Raises:
        ValueError: there is no transaction, or the limits do not bound anything.
    """
    if not 0.001 <= lock < statement:
        raise ValueError("0.001 <= lock < statement: 0 is no limit, and the smaller one counts")
    _in_transaction(conn)
    conn.execute(LIMIT, (f"{lock * 1000:.0f}", f"{statement * 1000:.0f}"))
    # --8<-- [end:limit]


# --8<-- [start:who_waits]
@dataclass(frozen=True)
class Wait:
    """A session that waits for a lock.

    Attributes:
        pid: Its server process.
        blocked_by: Those that hold the lock, or ask for it and came before.
        sql: The statement that waits, if it is one's own role's (or one is in pg_read_all_stats).
    """

    pid: int
    blocked_by: tuple[int, ...]
    sql: str


def who_waits(conn: Connection) -> list[Wait]:
    """Who waits for whom in this database now. For people: asking often slows the server down.

    Raises:
        ValueError: a transaction is open; all its answers would be the first one's.
    """
    if conn.info.transaction_status is not TransactionStatus.IDLE:
        raise ValueError("ask in a session without a transaction: inside one nothing new is shown")
    rows = conn.execute(WAITING).fetchall()
    return [Wait(pid, tuple(blocked_by), sql) for pid, blocked_by, sql in rows]
    # --8<-- [end:who_waits]


def _in_transaction(conn: Connection) -> None:
    if conn.autocommit and conn.info.transaction_status is TransactionStatus.IDLE:
        raise ValueError("begin a transaction first, with conn.transaction(): it holds the lock")
