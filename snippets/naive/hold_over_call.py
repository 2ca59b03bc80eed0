"""Breaks other requests: it holds its connection and its row lock until another service answers.

While that service hangs, as many calls as the pool has connections stop everything that needs the
database. The right way: `snippets.pool.release_first`.

Proved by:
    E10 tests/snippets/test_pool.py::test_other_queries_time_out_when_connections_wait_for_a_call
"""

from __future__ import annotations

from psycopg_pool import ConnectionPool

from snippets.pool import LOCK, Call, Watch, assign, connection, found, unwatched
from snippets.unit_of_work import UnitOfWork


# --8<-- [start:hold_over_call]
def hold_over_call(
    pool: ConnectionPool, course_id: str, manager: str, call: Call, *, watch: Watch = unwatched
) -> None:
    """Lock the course, call, then assign the manager: a pessimistic lock.

    Raises:
        NotOpen: nothing was done.
    """
    with connection(pool, watch) as conn, UnitOfWork(conn) as unit:
        with watch("rowlock", waiting=True):
            version = found(conn.execute(LOCK, (course_id,)).fetchone(), course_id)
        with watch("rowlock"):
            with watch("remote"):
                call()
            assign(conn, course_id, manager, version)
            unit.commit()
            # --8<-- [end:hold_over_call]
