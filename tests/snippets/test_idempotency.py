"""Idempotency keys: eight clients, other contents, dead and late workers; and the naive twin."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from psycopg import AsyncConnection

from handbook.lab import Workspace
from snippets import idempotency
from snippets.idempotency import Claim, InFlight, Reply, Reused
from snippets.naive import check_then_insert

pytestmark = pytest.mark.stack
CLIENTS, INTENTS = 8, 6
START = datetime(2026, 11, 24, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class Clock:
    """A time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        """The time."""
        return self.now


@pytest.fixture
def orders(workspace: Workspace) -> Workspace:
    """The effect, and both ways to remember it."""
    workspace.execute(idempotency.CREATE_TABLE)
    workspace.execute(check_then_insert.CREATE_TABLE)
    workspace.execute("CREATE TABLE enrolment (intent text NOT NULL)")
    return workspace


async def enrol(conn: AsyncConnection, intent: str, key: str) -> Reply:
    """One request, as a service handles it: claim, then effect and reply in one transaction."""
    request = idempotency.fingerprint("POST", "/enrolments", intent.encode())
    found = await idempotency.claim(conn, "enrol", key, request)
    if isinstance(found, Reply):
        return found
    reply = Reply(201, f"enrolled {intent}")
    async with conn.transaction():
        await conn.execute("INSERT INTO enrolment VALUES (%s)", (intent,))
        await idempotency.finish(conn, found, reply)
    return reply


async def insist(orders: Workspace, intent: str, key: str) -> Reply:
    """A client that comes again while it is told that its request is at work."""
    async with await orders.aconnect() as conn:
        while True:
            try:
                return await enrol(conn, intent, key)
            except InFlight:
                await asyncio.sleep(0.01)


async def test_effect_happens_once_when_eight_clients_repeat(orders: Workspace) -> None:
    """One row an intent, and every client has the same reply."""
    intents = [f"intent-{number}" for number in range(INTENTS)]
    for intent in intents:
        replies = await asyncio.gather(*(insist(orders, intent, intent) for _ in range(CLIENTS)))
        assert set(replies) == {Reply(201, f"enrolled {intent}")}
    assert sorted(orders.fetch("SELECT intent FROM enrolment")) == [(i,) for i in intents]


async def test_check_then_insert_doubles_when_requests_overlap(orders: Workspace) -> None:
    """All clients look before any has written: each of them works."""
    looked = asyncio.Barrier(CLIENTS)

    async def naive(intent: str) -> None:
        async with await orders.aconnect() as conn:
            found = await check_then_insert.claim(conn, "enrol", intent)
            await looked.wait()
            assert found is None
            async with conn.transaction():
                await conn.execute("INSERT INTO enrolment VALUES (%s)", (intent,))
                await check_then_insert.finish(conn, "enrol", intent, Reply(201, ""))

    await asyncio.gather(*(naive("intent-0") for _ in range(CLIENTS)))
    assert orders.value("SELECT count(*) FROM enrolment") == CLIENTS


async def test_effect_is_doubled_when_a_retry_brings_a_new_key(orders: Workspace) -> None:
    """The key names the intent: whoever makes a new one asks for a second effect."""
    for _ in range(2):
        await insist(orders, "intent-0", str(uuid4()))
    assert orders.value("SELECT count(*) FROM enrolment") == 2


async def test_request_is_refused_when_the_key_has_another_content(orders: Workspace) -> None:
    """Reused key, other body: neither replayed nor done."""
    await insist(orders, "intent-0", "key")
    async with await orders.aconnect() as conn:
        with pytest.raises(Reused):
            await enrol(conn, "intent-1", "key")
    assert orders.fetch("SELECT intent FROM enrolment") == [("intent-0",)]


async def test_repeat_is_told_to_wait_when_the_first_is_at_work(orders: Workspace) -> None:
    """Until the lease is over; then it takes over."""
    clock = Clock()
    async with await orders.aconnect() as conn:
        first = await idempotency.claim(conn, "enrol", "key", "r", clock=clock)
        with pytest.raises(InFlight):
            await idempotency.claim(conn, "enrol", "key", "r", clock=clock)
        clock.now += 31 * SECOND
        second = await idempotency.claim(conn, "enrol", "key", "r", clock=clock)
    assert isinstance(first, Claim)
    assert isinstance(second, Claim)
    assert first.owner != second.owner


async def test_late_worker_is_refused_when_another_took_over(orders: Workspace) -> None:
    """Its effect is rolled back: one effect, one reply."""
    clock = Clock()
    async with await orders.aconnect() as conn:
        late = await idempotency.claim(conn, "enrol", "key", "r", clock=clock)
        clock.now += 31 * SECOND
        other = await idempotency.claim(conn, "enrol", "key", "r", clock=clock)
        for owner, effect in ((late, "late"), (other, "other")):
            assert isinstance(owner, Claim)
            try:
                async with conn.transaction():
                    await conn.execute("INSERT INTO enrolment VALUES (%s)", (effect,))
                    await idempotency.finish(conn, owner, Reply(201, effect))
            except InFlight:
                assert effect == "late"
        assert await idempotency.claim(conn, "enrol", "key", "r", clock=clock) == Reply(
            201, "other"
        )
    assert orders.fetch("SELECT intent FROM enrolment") == [("other",)]


async def test_finished_reply_stays_when_its_worker_gives_the_key_back(orders: Workspace) -> None:
    """Who did not hear of its commit releases the key; the repeat still has the reply."""
    async with await orders.aconnect() as conn:
        mine = await idempotency.claim(conn, "enrol", "key", "r")
        assert isinstance(mine, Claim)
        await idempotency.finish(conn, mine, Reply(201, "done"))
        await idempotency.release(conn, mine)
        assert await idempotency.claim(conn, "enrol", "key", "r") == Reply(201, "done")


async def test_key_is_new_again_when_it_expired_or_was_released(orders: Workspace) -> None:
    """A day later, or after work without effect, the next request works."""
    clock = Clock()
    async with await orders.aconnect() as conn:
        first = await idempotency.claim(conn, "enrol", "key", "r", clock=clock)
        assert isinstance(first, Claim)
        await idempotency.release(conn, first)
        again = await idempotency.claim(conn, "enrol", "key", "r", clock=clock)
        assert isinstance(again, Claim)
        await idempotency.finish(conn, again, Reply(201, ""))
        clock.now += timedelta(days=1) + SECOND
        assert isinstance(await idempotency.claim(conn, "enrol", "key", "x", clock=clock), Claim)
        clock.now += timedelta(days=1) + SECOND
        assert await idempotency.forget(conn, clock=clock) == 1
