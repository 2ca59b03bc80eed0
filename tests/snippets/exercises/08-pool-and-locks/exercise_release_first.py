"""08-pool-and-locks: the mark is committed before the call, the manager written after it."""

from psycopg_pool import ConnectionPool

from snippets import pool


def assign_manager(connections: ConnectionPool, course: str, name: str, call: pool.Call) -> None:
    """Hold nothing over the call; when that fails the mark stays (`release_first` unmarks)."""
    with pool.short_transaction(connections) as conn:
        version = pool.found(conn.execute(pool.MARK, [course]).fetchone(), course)
    call()
    with pool.short_transaction(connections) as conn:
        pool.assign(conn, course, name, version)
