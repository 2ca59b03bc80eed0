"""Job queue in a table: many workers, each job done once, a dead worker's job done by another.

Guarantees:
    A job that is open is held by one worker at a time; others take the next one and do not wait.
    What `handle` writes through its connection and the job's end commit together: the effect
    happens once. A worker that dies gives its job back with its transaction.
    A job that fails is put off, so that it stops no other; when it was rejected, or tried
    `policy.attempts` times, it goes to `failed_job` and waits for people.

Does not guarantee:
    Order: jobs are taken by their time, and end when they end.
    Once for effects outside the transaction: a call is made again, so give it the job's id as key.

Assumes:
    A job takes seconds, not hours: its transaction holds a connection and keeps vacuum from
    cleaning. Longer work takes a lease, as `idempotency.claim` does.

Proved by:
    E24 tests/snippets/test_queue.py::test_each_job_is_done_once_when_eight_workers_take_them
    E24 tests/snippets/test_queue.py::test_workers_hold_different_jobs_at_the_same_time
    E24 tests/snippets/test_queue.py::test_job_is_done_by_another_when_its_worker_is_killed
    E24 tests/snippets/test_queue.py::test_other_jobs_are_done_when_one_fails_again_and_again

Source: PostgreSQL 18, SELECT, The Locking Clause (SKIP LOCKED); Ringer, What is SKIP LOCKED for in
PostgreSQL 9.5? (2016).
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import AsyncConnection

from snippets.checkpoint import Checkpoint, nothing
from snippets.errors import Rejected
from snippets.retry import Policy

# --8<-- [start:table]
CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS job (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind     text NOT NULL,
    payload  jsonb NOT NULL,
    failed   int NOT NULL DEFAULT 0,       -- attempts so far
    run_at   timestamptz NOT NULL
) WITH (  -- rows live for moments: vacuum by count, not by share of an empty table
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 1000
);
CREATE INDEX IF NOT EXISTS job_run_at ON job (run_at, id);
CREATE TABLE IF NOT EXISTS failed_job (
    id       bigint PRIMARY KEY,
    kind     text NOT NULL,
    payload  jsonb NOT NULL,
    reason   text NOT NULL
);
"""
# --8<-- [end:table]

PUT = "INSERT INTO job (kind, payload, run_at) VALUES (%s, %s, %s) RETURNING id"
# --8<-- [start:take_sql]
# Locks the row until the transaction ends; a row that another worker has locked is as good as not
# there. A row that was deleted a moment ago is passed over, too: the next one is taken.
TAKE = """
SELECT id, kind, payload, failed FROM job WHERE run_at <= %s
ORDER BY run_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
"""
# --8<-- [end:take_sql]
DONE = "DELETE FROM job WHERE id = %s"
PUT_OFF = "UPDATE job SET failed = failed + 1, run_at = %s WHERE id = %s"
GIVE_UP = """
WITH gone AS (DELETE FROM job WHERE id = %s RETURNING id, kind, payload)
INSERT INTO failed_job SELECT id, kind, payload, %s FROM gone
"""


@dataclass(frozen=True)
class Job:
    """Something to do.

    Attributes:
        id: Given by the queue; the same for each attempt.
        kind: What to do.
        payload: With what.
        failed: How many attempts have failed.
    """

    id: int
    kind: str
    payload: Mapping[str, Any]
    failed: int = 0


Handle = Callable[[AsyncConnection, Job], Awaitable[None]]
Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The default clock."""
    return datetime.now(UTC)


# --8<-- [start:put]
async def put(
    conn: AsyncConnection, kind: str, payload: Mapping[str, Any], *, clock: Clock = utc_now
) -> int:
    """Add a job to the caller's transaction, due at once; its id. Never commits."""
    values = (kind, json.dumps(payload, ensure_ascii=False), clock())
    row = await (await conn.execute(PUT, values)).fetchone()
    assert row is not None
    return int(row[0])
    # --8<-- [end:put]


async def take(conn: AsyncConnection, *, clock: Clock = utc_now) -> Job | None:
    """A job that is due and that nobody else has, until the caller's transaction ends."""
    row = await (await conn.execute(TAKE, (clock(),))).fetchone()
    return Job(*row) if row else None


# --8<-- [start:step]
async def step(
    conn: AsyncConnection,
    handle: Handle,
    *,
    policy: Policy | None = None,
    clock: Clock = utc_now,
    rng: random.Random | None = None,
    at: Checkpoint = nothing,
) -> bool:
    """Do one job in a transaction of its own; False when none is due.

    Args:
        conn: In autocommit mode.
        handle: Does the job through the connection that it gets; never commits.
        policy: How often a job is tried, and for how long it is put off after a failure.
        clock: The time, with its zone.
        rng: Chooses within the policy's bounds.
        at: Passes `queue.taken` and `queue.done`.
    """
    async with conn.transaction():
        job = await take(conn, clock=clock)
        if job is None:
            return False
        at("queue.taken")
        try:
            async with conn.transaction():  # a savepoint: a failed job leaves nothing of its own
                await handle(conn, job)
        except Exception as error:
            await _put_off(conn, job, error, policy or Policy(), clock, rng)
        else:
            await conn.execute(DONE, (job.id,))
    at("queue.done")
    return True
    # --8<-- [end:step]


# --8<-- [start:put_off]
async def _put_off(
    conn: AsyncConnection,
    job: Job,
    error: Exception,
    policy: Policy,
    clock: Clock,
    rng: random.Random | None,
) -> None:
    failed = job.failed + 1
    if isinstance(error, Rejected) or failed >= policy.attempts:
        await conn.execute(GIVE_UP, (job.id, f"{type(error).__name__}: {error}"))
        return
    pause = policy.pause(failed, rng or random.Random())  # noqa: S311
    await conn.execute(PUT_OFF, (clock() + timedelta(seconds=pause), job.id))
    # --8<-- [end:put_off]


# --8<-- [start:work]
async def work(
    conn: AsyncConnection,
    handle: Handle,
    stop: asyncio.Event,
    *,
    policy: Policy | None = None,
    poll: float = 0.5,
    at: Checkpoint = nothing,
) -> None:
    """A worker: do what is due, look again after `poll` seconds, until `stop`. See `step`."""
    while not stop.is_set():
        if not await step(conn, handle, policy=policy, at=at):
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), poll)
                # --8<-- [end:work]
