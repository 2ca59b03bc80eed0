"""Pool: change a row and call another service, and hold neither connection nor lock over the call.

Guarantees:
    `release_first` has committed and given its connection back before it calls: however long the
    call takes, it uses no connection and locks no row. Meanwhile its mark, `assigning`, keeps
    others off the course. A call that did nothing for certain leaves the course as it was.
    `optimistic` locks the row only to write it, and writes only what nobody has changed since.

Does not guarantee:
    That other requests find a connection beside `optimistic`: it holds its own over the call.
    That the services agree: after `Conflict` the other service has done its part, which is to be
    cancelled; after a crash or `InDoubt` the mark stays until somebody asks or cancels (`saga`).

Assumes:
    The call is idempotent by the course's id, and ends by a time-out of its own.
    Whoever writes the row raises its version.

Proved by:
    E10 tests/snippets/test_pool.py::test_other_queries_pass_when_the_connection_is_released_first
    E11 tests/snippets/test_pool.py::test_each_conflict_leaves_an_orphan_until_it_is_cancelled

Source: PostgreSQL 18, 13.3.2 Row-Level Locks; psycopg 3, Connection pools; Kung and Robinson, On
Optimistic Methods for Concurrency Control (TODS 1981); Nygard, Release It! (2018), chapter 4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal, Protocol

from psycopg import Connection
from psycopg_pool import ConnectionPool

from snippets.errors import Rejected, Retriable
from snippets.unit_of_work import UnitOfWork

# --8<-- [start:table]
CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS course (
    id      text PRIMARY KEY,
    manager text,
    state   text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'assigning', 'closed')),
    version int NOT NULL DEFAULT 0
)
"""
# --8<-- [end:table]

# --8<-- [start:sql]
READ = "SELECT version FROM course WHERE id = %s AND state = 'open'"
# Locks the row until the transaction ends: others who write or lock it wait, readers do not.
LOCK = f"{READ} FOR UPDATE"
# Each locks the row FOR NO KEY UPDATE until the transaction ends, and finds none that has changed.
MARK = """
UPDATE course SET state = 'assigning', version = version + 1
WHERE id = %s AND state = 'open' RETURNING version
"""
UNMARK = """
UPDATE course SET state = 'open', version = version + 1 WHERE id = %s AND version = %s
"""
ASSIGN = """
UPDATE course SET state = 'open', manager = %s, version = version + 1
WHERE id = %s AND version = %s
"""
CLOSE = """
UPDATE course SET state = 'closed', version = version + 1 WHERE id = %s AND state = 'open'
"""
# --8<-- [end:sql]

What = Literal["conn", "rowlock", "remote"]
Call = Callable[[], object]


class NotOpen(Rejected):
    """The course is closed, unknown, or somebody else is assigning its manager."""


class Conflict(Retriable):
    """The row has changed since it was read; what the call did stands until it is cancelled."""


class Watch(Protocol):
    """Called around everything that a request holds, or waits for (see `spans`)."""

    def __call__(self, what: What, /, *, waiting: bool = False) -> AbstractContextManager[None]:
        """A block as long as that lasts."""


def unwatched(_: What, /, *, waiting: bool = False) -> AbstractContextManager[None]:  # noqa: ARG001
    """The default: nobody measures."""
    return nullcontext()


def database(dsn: str, *, size: int = 5, timeout: float = 30.0) -> ConnectionPool:
    """`size` connections, opened by `with`.

    Args:
        dsn: Where to.
        size: How many requests can be in the database at once.
        timeout: Seconds that a request waits for a connection; then PoolTimeout.
    """
    check = ConnectionPool.check_connection
    return ConnectionPool(
        dsn, min_size=size, max_size=size, timeout=timeout, check=check, open=False
    )


def in_use(pool: ConnectionPool) -> int:
    """How many connections requests hold now."""
    stats = pool.get_stats()
    return stats["pool_size"] - stats["pool_available"]


# --8<-- [start:connection]
@contextmanager
def connection(pool: ConnectionPool, watch: Watch = unwatched) -> Iterator[Connection]:
    """A connection of the pool: waited for, held, given back."""
    with watch("conn", waiting=True):
        conn = pool.getconn()
    try:
        with watch("conn"):
            yield conn
    finally:
        pool.putconn(conn)


@contextmanager
def short_transaction(pool: ConnectionPool, watch: Watch = unwatched) -> Iterator[Connection]:
    """Commits at the end of the block, which calls nobody."""
    with connection(pool, watch) as conn, watch("rowlock"), UnitOfWork(conn) as unit:
        yield conn
        unit.commit()
        # --8<-- [end:connection]


# --8<-- [start:release_first]
def release_first(
    pool: ConnectionPool, course_id: str, manager: str, call: Call, *, watch: Watch = unwatched
) -> None:
    """Mark the course and commit, then call, then assign the manager in a second transaction.

    Args:
        pool: Used for a short transaction before the call, and for one after it.
        course_id: The course; nobody else's while it has the mark.
        manager: Is written when the call has succeeded.
        call: The other service's part.
        watch: Sees what is held.

    Raises:
        NotOpen: nothing was done.
        Rejected, Retriable: the call's, which did nothing; the mark is taken away.
        InDoubt: the call's, as any other error of it; the mark stays.
        Conflict: somebody took the mark away during the call. Cancel what the call has done.
    """
    with short_transaction(pool, watch) as conn:
        version = found(conn.execute(MARK, (course_id,)).fetchone(), course_id)
    try:
        with watch("remote"):
            call()
    except (Rejected, Retriable):
        with short_transaction(pool, watch) as conn:
            conn.execute(UNMARK, (course_id, version))
        raise
    with short_transaction(pool, watch) as conn:
        assign(conn, course_id, manager, version)
        # --8<-- [end:release_first]


# --8<-- [start:optimistic]
def optimistic(
    pool: ConnectionPool, course_id: str, manager: str, call: Call, *, watch: Watch = unwatched
) -> None:
    """Read the version, call, then assign the manager if the version is still the same.

    Raises:
        NotOpen: nothing was done.
        Conflict: somebody has changed the course during the call. Cancel what the call has done.
    """
    with connection(pool, watch) as conn, UnitOfWork(conn) as unit:
        version = found(conn.execute(READ, (course_id,)).fetchone(), course_id)
        with watch("remote"):
            call()
        with watch("rowlock"):
            assign(conn, course_id, manager, version)
            unit.commit()
            # --8<-- [end:optimistic]


def found(row: tuple[Any, ...] | None, course_id: str) -> int:
    """The version of the course; raises `NotOpen`."""
    if row is None:
        raise NotOpen(f"course {course_id} is not open")
    return int(row[0])


def assign(conn: Connection, course_id: str, manager: str, version: int) -> None:
    """Write the manager, in the caller's transaction; raises `Conflict`."""
    if not conn.execute(ASSIGN, (manager, course_id, version)).rowcount:
        raise Conflict(f"course {course_id} is no longer at version {version}")


def close_course(conn: Connection, course_id: str) -> None:
    """What another request may do meanwhile, in its own transaction; raises `NotOpen`."""
    if not conn.execute(CLOSE, (course_id,)).rowcount:
        raise NotOpen(f"course {course_id} is not open")
