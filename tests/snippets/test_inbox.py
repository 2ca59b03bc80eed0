"""The inbox: effects are counted, not deliveries."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from handbook.lab import Workspace
from snippets import inbox
from snippets.naive import without_inbox
from snippets.services import member

pytestmark = pytest.mark.stack


@pytest.fixture
def members(workspace: Workspace) -> Workspace:
    """The member service's tables."""
    workspace.execute(member.CREATE_TABLE)
    workspace.execute(inbox.CREATE_TABLE)
    return workspace


async def test_effect_is_doubled_without_an_inbox(members: Workspace) -> None:
    """The naive consumer counts deliveries."""
    event_id = uuid4()
    async with await members.aconnect() as conn:
        for _ in range(2):
            await without_inbox.on_course_created(conn, event_id, "김담당")

    assert members.fetch("TABLE manager") == [("김담당", 2)]


async def test_effect_happens_once_when_an_event_is_delivered_twice(members: Workspace) -> None:
    """The second delivery is told to be a repeat and changes nothing."""
    event_id = uuid4()
    async with await members.aconnect() as conn:
        first = await member.on_course_created(conn, event_id, "김담당")
        second = await member.on_course_created(conn, event_id, "김담당")

    assert (first, second) == (True, False)
    assert members.fetch("TABLE manager") == [("김담당", 1)]


async def test_effect_happens_once_when_two_deliveries_race(members: Workspace) -> None:
    """Of eight deliveries at the same time exactly one has the effect, for each of 20 events."""
    events = [uuid4() for _ in range(20)]
    sessions = [await members.aconnect() for _ in range(8)]
    for event_id in events:
        handled = await asyncio.gather(
            *(member.on_course_created(conn, event_id, "김담당") for conn in sessions)
        )
        assert handled.count(True) == 1
    for conn in sessions:
        await conn.close()

    assert members.fetch("TABLE manager") == [("김담당", len(events))]


async def test_event_is_new_again_when_its_transaction_rolled_back(members: Workspace) -> None:
    """A failed handler leaves no memory: the next delivery has the effect."""
    event_id = uuid4()
    async with await members.aconnect(autocommit=False) as conn:
        assert await inbox.first_time(conn, "member", event_id)
        await conn.rollback()
        assert await inbox.first_time(conn, "member", event_id)
        await conn.commit()
        assert not await inbox.first_time(conn, "member", event_id)


async def test_consumers_have_memories_of_their_own(members: Workspace) -> None:
    """What one consumer has handled is new to another."""
    event_id = uuid4()
    async with await members.aconnect() as conn:
        assert await inbox.first_time(conn, "member", event_id)
        assert await inbox.first_time(conn, "board", event_id)


async def test_forget_removes_only_what_is_older(members: Workspace) -> None:
    """Old ids go, young ones stay."""
    old, young = uuid4(), uuid4()
    async with await members.aconnect() as conn:
        for event_id in (old, young):
            await inbox.first_time(conn, "member", event_id)
        await conn.execute(
            "UPDATE inbox SET received_at = now() - interval '8 days' WHERE event_id = %s", (old,)
        )
        forgotten = await inbox.forget(conn, older_than=timedelta(days=7))

    assert forgotten == 1
    assert members.fetch("SELECT event_id FROM inbox") == [(young,)]
