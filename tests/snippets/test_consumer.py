"""Consumers: killed anywhere, down, out of order, out of a database; and the naive twins."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from consuming import Publish, consuming, courses, name, send, wait_for_lag
from psycopg import AsyncConnection

from handbook.lab import Child, Workspace, until
from snippets import inbox, relay
from snippets.consumer import Delivery
from snippets.errors import Retriable
from snippets.naive import round_robin
from snippets.retry import Policy
from snippets.services import member

pytestmark = pytest.mark.stack
MAIN = "snippets.services.member_consumer:main"
EVENTS = 5
COURSES, SLOW = (0, 2), 2  # the keys hash to partitions 2 and 1
PATIENT = Policy(attempts=10_000, first=0.01, longest=0.05, deadline=60)
# Who comes back under its name need not wait until its last session has timed out.
NAMED = {"session_timeout_ms": 6000, "heartbeat_interval_ms": 200, "group_instance_id": "one"}


@pytest.fixture
def members(workspace: Workspace) -> Workspace:
    """The member service's tables, and a topic of one partition."""
    workspace.execute(member.CREATE_TABLE)
    workspace.execute(inbox.CREATE_TABLE)
    workspace.topic("courses", 1)
    return workspace


def start(members: Workspace, *, stop_at: str | None = None, **more: Any) -> Child:
    """A consumer process."""
    kwargs = {"dsn": members.dsn, "kafka": members.kafka, "topics": [members.topic("courses")]}
    settings = {**kwargs, "group": name(members), "membership": NAMED, **more}
    return members.start(MAIN, kwargs=settings, stop_at=stop_at)


def effects(members: Workspace) -> Counter[str]:
    """How often each course was counted."""
    return Counter(dict(members.fetch("SELECT name, courses FROM manager")))


def once(count: int) -> Counter[str]:
    """What is right."""
    return Counter(f"m-{n}" for n in range(count))


def kill_at(members: Workspace, point: str, **more: Any) -> None:
    """Publish, kill a consumer at `point`, and let another drain the topic."""
    asyncio.run(send(members, "courses", courses(EVENTS)))
    victim = start(members, stop_at=point, **more)
    victim.wait_for(point)
    victim.kill()
    other = start(members, **more)
    wait_for_lag(members, "courses")
    other.stop()


def test_events_are_lost_when_offsets_were_committed_first(members: Workspace) -> None:
    """Killed between commit and work: what was read is never read again."""
    kill_at(members, "consumer.committed", way="snippets.naive.commit_before_work", batch=2)

    assert once(EVENTS) - effects(members) == once(2)
    assert effects(members) - once(EVENTS) == Counter()


def test_events_are_lost_when_offsets_are_committed_by_a_clock(members: Workspace) -> None:
    """The handler waits for a lock, the client commits meanwhile, the process dies."""
    asyncio.run(send(members, "courses", courses(EVENTS)))
    members.execute("INSERT INTO manager VALUES ('m-0', 0)")
    with members.connect() as other, other.transaction():
        other.execute("SELECT FROM manager FOR UPDATE")
        victim = start(members, way="snippets.naive.auto_commit")
        wait_for_lag(members, "courses")
        victim.kill()

    assert +effects(members) == Counter()


def test_effect_is_doubled_when_killed_without_an_inbox(members: Workspace) -> None:
    """Killed between work and commit: nothing is lost, the work is done again."""
    kill_at(members, "consumer.handled", way="snippets.naive.commit_after_work")

    assert effects(members) - once(EVENTS) == once(1)
    assert once(EVENTS) - effects(members) == Counter()


@pytest.mark.parametrize("point", ["handler.begun", "consumer.handled", "consumer.committed"])
def test_effect_happens_once_wherever_the_consumer_is_killed(
    members: Workspace, point: str
) -> None:
    """Before the effect, between effect and commit of the offset, after it: once each."""
    kill_at(members, point, batch=2)

    assert effects(members) == once(EVENTS)


def test_backlog_drains_when_a_killed_consumer_comes_back(members: Workspace) -> None:
    """Events wait in Kafka while nobody is there; then each has its effect."""
    consumer = start(members)
    asyncio.run(send(members, "courses", courses(EVENTS)))
    wait_for_lag(members, "courses")
    consumer.kill()

    asyncio.run(send(members, "courses", courses(30, first=EVENTS)))
    wait_for_lag(members, "courses", 30)
    consumer.restart()
    wait_for_lag(members, "courses")
    consumer.stop()

    assert effects(members) == once(EVENTS + 30)


async def order(workspace: Workspace, publish: Publish) -> list[tuple[str, int]]:
    """(course, version) in the order of the effects, while one partition is slow."""
    workspace.execute(inbox.CREATE_TABLE)
    workspace.execute("CREATE TABLE effect (n int GENERATED ALWAYS AS IDENTITY, c text, v int)")
    topic = workspace.topic("versions", 3)
    versions = [(f"c-{key}", {"version": n}) for n in range(6) for key in COURSES]
    await send(workspace, "versions", versions, publish=publish)
    elsewhere = sum(record.partition != SLOW for record in workspace.records("versions"))
    assert 0 < elsewhere < len(versions)
    handled: Counter[bool] = Counter()

    async def handler(conn: AsyncConnection, delivery: Delivery) -> None:
        if delivery.partition == SLOW and handled[False] < elsewhere:
            raise Retriable("not yet")
        values = delivery.key, delivery.payload["version"]
        await conn.execute("INSERT INTO effect (c, v) VALUES (%s, %s)", values)
        handled[delivery.partition == SLOW] += 1

    async with consuming(workspace, [topic], handler, policy=PATIENT):
        await until(lambda: handled.total() == len(versions), what="every effect")
    return workspace.fetch("SELECT c, v FROM effect ORDER BY n")


def inversions(effects: list[tuple[str, int]]) -> int:
    """Effects that came after the effect of a later version of the same course."""
    latest: dict[str, int] = {}
    late = 0
    for course, version in effects:
        late += version < latest.get(course, -1)
        latest[course] = max(version, latest.get(course, -1))
    return late


async def test_key_loses_its_order_when_sent_round_the_partitions(
    workspace: Workspace,
) -> None:
    """What the slow partition holds comes after later events of the same course."""
    assert inversions(await order(workspace, round_robin.publish)) >= 4


async def test_key_keeps_its_order_when_a_partition_is_slow(workspace: Workspace) -> None:
    """All events of a course are in one partition: its pace does not matter."""
    effects = await order(workspace, relay.publish)

    assert inversions(effects) == 0
    assert len(effects) == 12
