"""Breaks the use of many workers: all choose the same row, and wait for it one behind the other.

Each job is done once, but one at a time, however many workers there are.
The right way: `snippets.queue`.

Proved by:
    E24 tests/snippets/test_queue.py::test_workers_wait_when_locked_rows_are_not_skipped
"""

from __future__ import annotations

from psycopg import AsyncConnection

from snippets.queue import Clock, Job, utc_now

# --8<-- [start:take_sql]
# Locks the row until the transaction ends; waits while another worker has it.
TAKE = """
SELECT id, kind, payload, failed FROM job WHERE run_at <= %s
ORDER BY run_at, id LIMIT 1 FOR UPDATE
"""
# --8<-- [end:take_sql]


async def take(conn: AsyncConnection, *, clock: Clock = utc_now) -> Job | None:
    """The first job that is due, once nobody else has it."""
    row = await (await conn.execute(TAKE, (clock(),))).fetchone()
    return Job(*row) if row else None
