"""A member slower than `max.poll.interval.ms`: two members have one event, one may write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from consuming import courses, name, send
from psycopg import AsyncConnection

from handbook.lab import Workspace, until
from snippets import fencing, inbox
from snippets.consumer import Delivery, Handler
from snippets.fencing import Fenced, guard
from snippets.group import Membership
from snippets.naive import unfenced
from snippets.services import member
from snippets.services.member_consumer import on_course_created

pytestmark = pytest.mark.stack
# The first member may work for 0.3 s, and has the event before the second one comes.
FIRST = Membership(session_timeout_ms=1000, heartbeat_interval_ms=100, max_poll_interval_ms=300)
SECOND = Membership(heartbeat_interval_ms=100)


@pytest.fixture
def members(workspace: Workspace) -> Workspace:
    """The member service's tables, fences, and a topic of one partition."""
    for table in (member.CREATE_TABLE, inbox.CREATE_TABLE, fencing.CREATE_TABLE):
        workspace.execute(table)
    workspace.topic("courses", 1)
    return workspace


class Work:
    """Takes as long as it is told to: the first and the second call wait for their turns."""

    def __init__(self) -> None:
        self.begun = 0
        self.turns = [asyncio.Event(), asyncio.Event(), asyncio.Event()]

    async def __call__(self, delivery: Delivery) -> None:  # noqa: ARG002
        """Work; a repeat of what has ended waits until all is over."""
        self.begun += 1
        await self.turns[min(self.begun, 3) - 1].wait()


async def write_once(conn: AsyncConnection, delivery: Delivery) -> None:
    """The effect, with an inbox."""
    await member.on_course_created(conn, delivery.event_id, delivery.payload["manager"])


@asynccontextmanager
async def two_members(
    members: Workspace, how: Callable[..., Any], write: Handler, points: list[str]
) -> AsyncIterator[Work]:
    """Two members of one group that both have its only event: the first was too slow."""
    work, stop = Work(), asyncio.Event()
    await send(members, "courses", courses(1))
    arguments = members.dsn, members.kafka, [members.topic("courses")], name(members), work, write
    async with asyncio.TaskGroup() as running:
        for number, membership in enumerate([FIRST, SECOND], start=1):
            consuming = how(*arguments, membership=membership, stop=stop, at=points.append)
            running.create_task(consuming)
            await until(lambda: work.begun == number, what=f"member {number} at work")  # noqa: B023
        yield work
        stop.set()
        work.turns[2].set()


async def write_late(members: Workspace, how: Callable[..., Any]) -> tuple[list[str], int]:
    """The slow member goes on after the other one has written."""
    points: list[str] = []
    async with two_members(members, how, on_course_created, points) as work:
        for turn, count in ((1, 1), (0, 2)):
            work.turns[turn].set()
            await until(lambda: len(points) == count, what="a try to write")  # noqa: B023
        return list(points), members.value("SELECT courses FROM manager")


async def test_effect_is_doubled_when_two_members_have_one_event(members: Workspace) -> None:
    """The slow member writes what the other one wrote while it was slow."""
    assert await write_late(members, unfenced.consume) == (["fencing.written"] * 2, 2)


async def test_late_write_is_refused_when_the_partition_was_lost(members: Workspace) -> None:
    """The other member's token is larger: the slow one is turned away."""
    points = ["fencing.written", "fencing.refused"]
    assert await write_late(members, fencing.consume) == (points, 1)


@pytest.mark.parametrize(("write", "effects"), [(on_course_created, 2), (write_once, 1)])
async def test_effect_is_doubled_when_the_old_holder_writes_first(
    members: Workspace, write: Handler, effects: int
) -> None:
    """A fence keeps late writers out, not the next one from doing it again: an inbox does."""
    points: list[str] = []
    async with two_members(members, fencing.consume, write, points) as work:
        for turn in (0, 1):
            work.turns[turn].set()
            await until(lambda: len(points) == turn + 1, what="a write")  # noqa: B023
        assert points == ["fencing.written"] * 2
        assert members.value("SELECT courses FROM manager") == effects


async def test_older_token_is_refused_when_a_younger_has_passed(members: Workspace) -> None:
    """The same and larger ones pass; another resource has a fence of its own."""
    async with await members.aconnect() as conn:
        for token in (1, 1, 3):
            await guard(conn, "group/courses/0", token)
        await guard(conn, "group/courses/1", 2)
        for refused in (2, -1):
            with pytest.raises(Fenced):
                await guard(conn, "group/courses/0", refused)
        with pytest.raises(Fenced):
            await guard(conn, "group/courses/2", -1)

    assert sorted(members.fetch("TABLE fence")) == [("group/courses/0", 3), ("group/courses/1", 2)]
