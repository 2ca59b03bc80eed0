"""Doubles jobs: two workers look at the same moment, see the same job, and both do it.

The right way: `snippets.queue`.

Proved by:
    E24 tests/snippets/test_queue.py::test_unlocked_queue_does_one_job_eight_times
"""

from __future__ import annotations

from psycopg import AsyncConnection

from snippets.checkpoint import Checkpoint, nothing
from snippets.queue import DONE, Clock, Handle, Job, utc_now

# --8<-- [start:take_sql]
# Takes no lock.
TAKE = """
SELECT id, kind, payload, failed FROM job WHERE run_at <= %s
ORDER BY run_at, id LIMIT 1
"""
# --8<-- [end:take_sql]


async def take(conn: AsyncConnection, *, clock: Clock = utc_now) -> Job | None:
    """A job that is due."""
    row = await (await conn.execute(TAKE, (clock(),))).fetchone()
    return Job(*row) if row else None


# --8<-- [start:step]
async def step(
    conn: AsyncConnection, handle: Handle, *, clock: Clock = utc_now, at: Checkpoint = nothing
) -> bool:
    """Do one job in a transaction of its own; False when none is due."""
    async with conn.transaction():
        job = await take(conn, clock=clock)
        if job is None:
            return False
        at("queue.taken")
        await handle(conn, job)
        await conn.execute(DONE, (job.id,))
    at("queue.done")
    return True
    # --8<-- [end:step]
