"""The outbox: what a transaction leaves in it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from handbook.lab import Workspace, until
from snippets import outbox

pytestmark = pytest.mark.stack


def event(**changes: object) -> outbox.Event:
    """An event with a fresh id."""
    return outbox.Event(**{"id": uuid4(), "topic": "t", "key": "k", "payload": {}, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("commits", [True, False])
async def test_event_exists_exactly_when_its_transaction_committed(
    workspace: Workspace, commits: bool
) -> None:
    """The event commits and rolls back with the caller's transaction."""
    workspace.execute(outbox.CREATE_TABLE)
    written = event(payload={"제목": "아웃박스 입문"})

    async with await workspace.aconnect(autocommit=False) as conn:
        await outbox.write(conn, written)
        await (conn.commit() if commits else conn.rollback())

    expected = [(written.id, "t", "k", '{"제목": "아웃박스 입문"}')] if commits else []
    assert workspace.fetch("SELECT event_id, topic, key, payload FROM outbox") == expected


async def test_write_fails_when_kafka_could_never_take_the_event(workspace: Workspace) -> None:
    """An event over the limit fails its writer before anything is sent to the database."""
    workspace.execute(outbox.CREATE_TABLE)
    too_large = event(payload={"text": "가" * outbox.MAX_PAYLOAD_BYTES})

    async with await workspace.aconnect() as conn:
        with pytest.raises(ValueError, match="is over"):
            await outbox.write(conn, too_large)

    assert workspace.fetch("TABLE outbox") == []


async def test_write_fails_when_the_payload_is_no_json(workspace: Workspace) -> None:
    """NaN is none, although Python would write it; the consumer would be the one to fail."""
    workspace.execute(outbox.CREATE_TABLE)
    async with await workspace.aconnect() as conn:
        with pytest.raises(ValueError, match="not JSON compliant"):
            await outbox.write(conn, event(payload={"fee": float("nan")}))

    assert workspace.fetch("TABLE outbox") == []


@pytest.mark.parametrize("wrong", [{"topic": ""}, {"key": ""}])
def test_event_is_refused_when_it_has_no_topic_or_key(wrong: dict[str, str]) -> None:
    """Before the transaction is asked for anything."""
    with pytest.raises(ValueError, match="name a topic, and a key"):
        event(**wrong)


async def test_backlog_tells_number_and_age_of_waiting_events(workspace: Workspace) -> None:
    """An empty outbox has age 0; a waiting event has the age of its row."""
    workspace.execute(outbox.CREATE_TABLE)
    async with await workspace.aconnect() as conn:
        empty = await outbox.backlog(conn)
        await outbox.write(conn, event())
        await conn.execute("UPDATE outbox SET created_at = created_at - interval '1 hour'")
        waiting = await outbox.backlog(conn)

    assert empty == outbox.Backlog(0, timedelta())
    assert waiting.events == 1
    assert timedelta(hours=1) <= waiting.oldest < timedelta(hours=2)


async def test_doorbell_rings_once_for_many_commits_in_its_gap(workspace: Workspace) -> None:
    """A thousand rings within one gap cost two notifications at most, and none is left unheard."""
    heard: list[psycopg.Notify] = []
    async with await workspace.aconnect() as listener:
        await listener.execute(f"LISTEN {outbox.CHANNEL}")

        async def hear() -> None:
            async for notify in listener.notifies():
                heard.append(notify)  # noqa: PERF401 - read while it grows

        hearing = asyncio.create_task(hear())
        async with outbox.doorbell(workspace.dsn, gap=30) as bell:
            for _ in range(1000):
                bell.ring()
            await until(lambda: heard, what="the first notification")
        hearing.cancel()

    assert len(heard) == 1
