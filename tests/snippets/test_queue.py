"""E24: eight workers on one queue, with and without locks; dead workers, failing jobs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, closing
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol

import pytest
from psycopg import AsyncConnection
from queue_targets import certify

from handbook.lab import Workspace, until
from handbook.stack import Stack
from snippets import queue
from snippets.errors import Rejected
from snippets.naive import unlocked_queue, waiting_queue
from snippets.queue import Handle, Job
from snippets.retry import Policy

pytestmark = pytest.mark.stack
WORKERS, JOBS = 8, 400
START = datetime(2026, 11, 24, tzinfo=UTC)
RUNS = "SELECT count(*), count(DISTINCT job) FROM certificate"
LEFT = "SELECT count(*) FROM job"
WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


class Step(Protocol):
    """One job, in either way."""

    async def __call__(self, conn: AsyncConnection, handle: Handle, /) -> bool:
        """False when there is none."""


@pytest.fixture(scope="module")
def building(stack: Stack) -> Iterator[Workspace]:
    """A queue, and certificates that may be written twice."""
    with closing(Workspace.create(stack, "queue")) as made:
        made.execute(queue.CREATE_TABLE)
        made.execute("CREATE TABLE certificate (job bigint NOT NULL, member text NOT NULL)")
        yield made


@pytest.fixture
def office(building: Workspace) -> Workspace:
    """Empty."""
    building.execute("TRUNCATE job, failed_job, certificate RESTART IDENTITY")
    return building


@pytest.fixture
async def workers(office: Workspace) -> AsyncIterator[list[AsyncConnection]]:
    """Eight sessions."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(await office.aconnect()) for _ in range(WORKERS)]


def fill(office: Workspace, jobs: int) -> None:
    """Jobs that are due."""
    office.execute(
        "INSERT INTO job (kind, payload, run_at)"
        " SELECT 'certify', jsonb_build_object('member', '멤버 ' || n), now()"
        " FROM generate_series(1, %s) n",
        [jobs],
    )


def at_the_same_time(handle: Handle) -> Handle:
    """The first job of each worker is done when all workers have one."""
    met, all_have_one = set(), asyncio.Barrier(WORKERS)

    async def together(conn: AsyncConnection, job: Job) -> None:
        if conn not in met:
            met.add(conn)
            await asyncio.wait_for(all_have_one.wait(), 20)
        await handle(conn, job)

    return together


async def drain(step: Step, workers: Sequence[AsyncConnection], handle: Handle) -> None:
    """All workers, until none finds a job."""

    async def one(conn: AsyncConnection) -> None:
        while await step(conn, handle):
            pass

    async with asyncio.TaskGroup() as working:
        for conn in workers:
            working.create_task(one(conn))


async def test_unlocked_queue_does_one_job_eight_times(
    office: Workspace, workers: list[AsyncConnection]
) -> None:
    """The naive twin: all eight look before one has done the first job, and all do it."""
    jobs = 50
    fill(office, jobs)
    await drain(unlocked_queue.step, workers, at_the_same_time(certify))
    runs, done = office.fetch(RUNS)[0]
    first = office.value("SELECT count(*) FROM certificate WHERE job = 1")
    assert (first, done, office.value(LEFT)) == (WORKERS, jobs, 0)
    assert runs >= jobs + WORKERS - 1


async def test_each_job_is_done_once_when_eight_workers_take_them(
    office: Workspace, workers: list[AsyncConnection]
) -> None:
    """Runs are jobs, and the queue is empty."""
    fill(office, JOBS)
    await drain(queue.step, workers, at_the_same_time(certify))
    assert office.fetch(RUNS) == [(JOBS, JOBS)]
    assert office.value(LEFT) == 0


async def test_workers_hold_different_jobs_at_the_same_time(
    office: Workspace, workers: list[AsyncConnection]
) -> None:
    """Eight transactions are open, each with a job of its own; a ninth worker finds none."""
    fill(office, WORKERS)
    async with AsyncExitStack() as open_transactions:
        taken = []
        for conn in workers:
            await open_transactions.enter_async_context(conn.transaction())
            job = await queue.take(conn)
            assert job is not None
            taken.append(job.id)
        async with await office.aconnect() as ninth:
            assert await queue.take(ninth) is None
    assert taken == list(range(1, WORKERS + 1))


async def test_workers_wait_when_locked_rows_are_not_skipped(
    office: Workspace, workers: list[AsyncConnection]
) -> None:
    """The naive twin: one worker has a job, seven wait for its row although seven jobs are free."""
    fill(office, WORKERS)
    taken: list[int] = []
    go = asyncio.Event()

    async def one(conn: AsyncConnection) -> None:
        async with conn.transaction():
            job = await waiting_queue.take(conn)
            assert job is not None
            taken.append(job.id)
            await go.wait()
            await conn.execute(queue.DONE, (job.id,))

    async with asyncio.TaskGroup() as working:
        for conn in workers:
            working.create_task(one(conn))
        await until(lambda: taken, what="one worker to have a job")
        await until(lambda: office.value(WAITING) == WORKERS - 1, what="seven workers to wait")
        assert taken == [1]
        go.set()
    assert taken == list(range(1, WORKERS + 1))


async def test_job_is_done_by_another_when_its_worker_is_killed(office: Workspace) -> None:
    """SIGKILL with the job in its hands: nothing is lost, nothing doubled."""
    fill(office, 1)
    office.kill_at("queue.taken", "queue_targets:worker", kwargs={"dsn": office.dsn})
    async with await office.aconnect() as conn:
        await until(lambda: queue.step(conn, certify), what="the job to be given back")
    assert office.fetch(RUNS) == [(1, 1)]
    assert office.value(LEFT) == 0


class Clock:
    """A time that passes when it is told to."""

    now = START

    def __call__(self) -> datetime:
        """The time."""
        return self.now


async def half_done(conn: AsyncConnection, job: Job) -> None:
    """The effect of a poison job begins, then its handler fails; others are well."""
    await certify(conn, job)
    if job.payload["member"] == "poison":
        raise RuntimeError("no such member")


async def test_other_jobs_are_done_when_one_fails_again_and_again(office: Workspace) -> None:
    """It is put off, tried as often as the policy says, then set aside; it leaves no effect."""
    clock, policy = Clock(), Policy(attempts=3, first=1)
    step = partial(queue.step, policy=policy, clock=clock)
    async with await office.aconnect() as conn:
        for member in ("poison", "김멤버"):
            await queue.put(conn, "certify", {"member": member}, clock=clock)
        await drain(step, [conn], half_done)
        put_off = office.fetch("SELECT id, failed FROM job")
        for _ in range(2):
            clock.now += timedelta(seconds=policy.longest)
            await drain(step, [conn], half_done)
    assert put_off == [(1, 1)]
    assert office.fetch("SELECT member FROM certificate") == [("김멤버",)]
    assert office.fetch("SELECT id, reason FROM failed_job") == [
        (1, "RuntimeError: no such member")
    ]
    assert office.value(LEFT) == 0


async def test_job_is_set_aside_at_once_when_it_is_rejected(office: Workspace) -> None:
    """A business rule will say no again."""

    async def refuse(_: AsyncConnection, __: Job) -> None:
        raise Rejected("the course has no certificate")

    async with await office.aconnect() as conn:
        await queue.put(conn, "certify", {})
        assert await queue.step(conn, refuse)
    reason = "Rejected: the course has no certificate"
    assert office.fetch("SELECT id, kind, payload, reason FROM failed_job") == [
        (1, "certify", {}, reason)
    ]


async def test_job_is_gone_when_its_transaction_rolls_back(office: Workspace) -> None:
    """A job is part of the change that asks for it."""
    async with await office.aconnect(autocommit=False) as conn:
        await queue.put(conn, "certify", {"member": "김멤버"})
        await conn.rollback()
    assert office.value(LEFT) == 0


async def test_worker_finds_a_job_that_came_while_it_was_idle(office: Workspace) -> None:
    """It looks again by itself, and ends when it is told to."""
    stop = asyncio.Event()
    async with await office.aconnect() as conn, asyncio.TaskGroup() as working:
        working.create_task(queue.work(conn, certify, stop, poll=0.01))
        async with await office.aconnect() as other:
            await queue.put(other, "certify", {"member": "김멤버"})
        await until(lambda: office.value(LEFT) == 0, what="the job to be done")
        stop.set()
    assert office.fetch(RUNS) == [(1, 1)]
