"""Waking the relay: a lost ring costs latency, ringing inside the transaction costs commits."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import psycopg
import pytest
from psycopg import AsyncConnection, conninfo

from handbook.lab import OwnPostgres, Workspace, until
from snippets import outbox
from snippets.naive import notify_in_transaction
from snippets.relay import main

pytestmark = pytest.mark.stack
LISTENERS = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND query = 'LISTEN outbox' AND pid <> pg_backend_pid()
"""
HELD = "SELECT wait_event = 'SyncRep' FROM pg_stat_activity WHERE pid = %s"
BLOCKERS = "SELECT pg_blocking_pids(%s)"


def event(topic: str = "t") -> outbox.Event:
    """An event with a fresh id."""
    return outbox.Event(uuid4(), topic, "k", {})


@pytest.mark.parametrize(("poll", "left"), [(600, 1), (0.05, 0)])
async def test_missed_ring_is_made_good_by_the_poll(
    workspace: Workspace, poll: float, left: int
) -> None:
    """The relay's listener is dead, another heard the ring: without the poll the event stays."""
    workspace.execute(outbox.CREATE_TABLE)
    topic, stop = workspace.topic("events"), asyncio.Event()
    count = "SELECT count(*) FROM outbox"
    async with (
        await workspace.aconnect() as witness,
        await workspace.aconnect() as conn,
        outbox.doorbell(workspace.dsn) as bell,
    ):
        await outbox.write(conn, event(topic))
        running = asyncio.create_task(main(workspace.dsn, workspace.kafka, stop=stop, poll=poll))
        await until(lambda: workspace.fetch(LISTENERS), what="the relay's listener")
        await until(lambda: workspace.value(count) == 0, what="a relay that waits")
        workspace.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM ({LISTENERS})")

        await witness.execute(f"LISTEN {outbox.CHANNEL}")
        await outbox.write(conn, event(topic))
        bell.ring()
        heard = [notify.channel async for notify in witness.notifies(timeout=10, stop_after=1)]
        await until(lambda: workspace.value(count) == left, what="what the poll finds")
    stop.set()
    await running

    assert heard == [outbox.CHANNEL]
    assert len(workspace.records("events")) == 2 - left


async def test_bell_rings_again_when_its_connection_was_lost(workspace: Workspace) -> None:
    """The ring that found it dead is lost, the next one opens another."""
    ours = """
        SELECT pid FROM pg_stat_activity
        WHERE datname = current_database() AND query = 'NOTIFY outbox'
    """
    async with outbox.doorbell(workspace.dsn) as bell, await workspace.aconnect() as witness:
        await witness.execute(f"LISTEN {outbox.CHANNEL}")
        heard = witness.notifies(timeout=10)
        bell.ring()
        await anext(heard)
        workspace.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM ({ours})")
        bell.ring()
        await until(lambda: not bell.rung, what="the lost ring")
        bell.ring()
        assert (await anext(heard)).channel == outbox.CHANNEL
        await heard.aclose()


async def committing(dsn: str, write: object, *, durable: str) -> tuple[int, asyncio.Task[None]]:
    """A session that has written an event and now commits; `durable`: what the commit waits for."""
    conn = await AsyncConnection.connect(dsn)
    await conn.execute("SELECT set_config('synchronous_commit', %s, false)", (durable,))
    await conn.commit()
    await write(conn, event())  # type: ignore[operator]

    async def commit() -> None:
        async with conn:  # commits, then closes
            pass

    return conn.info.backend_pid, asyncio.create_task(commit())


def two_databases(server: OwnPostgres) -> tuple[str, str]:
    """An outbox in each of two databases."""
    with psycopg.connect(server.dsn, autocommit=True) as conn:
        conn.execute("CREATE DATABASE other")
    dsns = server.dsn, conninfo.make_conninfo(server.dsn, dbname="other")
    for dsn in dsns:
        with psycopg.connect(dsn) as conn:
            conn.execute(outbox.CREATE_TABLE)
    return dsns


async def test_committers_take_turns_when_they_notify_inside() -> None:
    """One commit is held up on its way to disk: who notifies waits, in every database; others not.

    The commit waits for a standby that does not exist, which stands for a slow disk.
    """
    with OwnPostgres() as server:
        here, elsewhere = two_databases(server)
        with psycopg.connect(server.dsn, autocommit=True) as admin:
            admin.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
            admin.execute("SELECT pg_reload_conf()")
            await until(
                lambda: admin.execute("SHOW synchronous_standby_names").fetchone() == ("nobody",)
            )
            naive, right = notify_in_transaction.write, outbox.write
            first, held = await committing(here, naive, durable="on")
            await until(lambda: admin.execute(HELD, (first,)).fetchone() == (True,))
            second, waiting = await committing(elsewhere, naive, durable="local")
            await until(lambda: admin.execute(BLOCKERS, (second,)).fetchone() == ([first],))
            for dsn in (here, elsewhere):
                _, passing = await committing(dsn, right, durable="local")
                await asyncio.wait_for(passing, 10)
            assert not held.done()
            assert not waiting.done()
            admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
            admin.execute("SELECT pg_reload_conf()")
            await asyncio.wait_for(asyncio.gather(held, waiting), 10)
