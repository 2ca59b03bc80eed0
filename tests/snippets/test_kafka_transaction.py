"""Consume, transform, produce in one Kafka transaction: what it covers, and what it does not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import ProducerFenced
from consuming import courses, lag, name, send, wait_for_lag

from handbook.lab import Workspace, until
from snippets import inbox
from snippets.consumer import Delivery
from snippets.errors import Rejected
from snippets.kafka_transaction import Isolation, seen, transform
from snippets.services import member

pytestmark = pytest.mark.stack
MAIN = "snippets.services.member_transform:main"
NAIVE = "snippets.naive.effect_in_kafka_transaction"
EVENTS = 5


@pytest.fixture
def members(workspace: Workspace) -> Workspace:
    """The member service's tables, and two topics of one partition."""
    workspace.execute(member.CREATE_TABLE)
    workspace.execute(inbox.CREATE_TABLE)
    for alias in ("courses", "news"):
        workspace.topic(alias, 1)
    return workspace


def settings(members: Workspace, **more: Any) -> dict[str, Any]:
    """Of the process."""
    topics = {"source": members.topic("courses"), "target": members.topic("news")}
    kwargs = {"dsn": members.dsn, "kafka": members.kafka, "group": name(members)}
    return {**kwargs, **topics, "batch": 2, **more}


def kill_at(members: Workspace, point: str, **more: Any) -> None:
    """Publish, kill a transformer at `point`, and let another end the work."""
    asyncio.run(send(members, "courses", courses(EVENTS)))
    kwargs = settings(members, **more)
    members.kill_at(point, MAIN, kwargs=kwargs)
    other = members.start(MAIN, kwargs=kwargs)
    wait_for_lag(members, "courses")
    other.stop()


def keys(*numbers: int) -> list[str]:
    """Of courses."""
    return [f"c-{n}" for n in numbers]


def counted(members: Workspace) -> list[int]:
    """How often each course was counted."""
    return [row[0] for row in members.fetch("SELECT courses FROM manager ORDER BY name")]


def news(members: Workspace, isolation: Isolation) -> list[str]:
    """The courses that were told of."""
    return asyncio.run(seen(members.kafka, members.topic("news"), isolation))


@pytest.mark.parametrize("point", ["transaction.sent", "transaction.committed"])
def test_derived_event_is_seen_once_wherever_killed(members: Workspace, point: str) -> None:
    """Inside the transaction or after it; with an inbox the effect in the database is one, too."""
    kill_at(members, point)

    assert news(members, "read_committed") == keys(*range(EVENTS))
    assert counted(members) == [1] * EVENTS


def test_effect_in_a_database_stays_when_kafka_aborts(members: Workspace) -> None:
    """What was counted for the killed batch is counted again, though nobody sees its news."""
    kill_at(members, "transaction.sent", way=NAIVE)

    assert news(members, "read_committed") == keys(*range(EVENTS))
    assert counted(members) == [2, 2, 1, 1, 1]


async def test_aborted_messages_are_seen_by_default(members: Workspace) -> None:
    """Uncommitted is what aiokafka reads; committed there is nothing, nor did the offset move."""
    await send(members, "courses", courses(2))

    async def derive(delivery: Delivery) -> Mapping[str, Any]:
        if delivery.key == "c-1":
            raise Rejected("no such manager")
        return {}

    source, target = TopicPartition(members.topic("courses"), 0), members.topic("news")
    with pytest.raises(Rejected):
        await transform(members.kafka, source, target, derive, group=name(members))

    levels: tuple[Isolation, ...] = ("read_uncommitted", "read_committed")
    found = [await seen(members.kafka, target, level) for level in levels]
    assert found == [keys(0), []]
    assert await lag(members, "courses") == 2


async def test_committed_message_waits_when_a_transaction_before_it_is_open(
    members: Workspace,
) -> None:
    """Readers of committed messages come no further than the oldest open transaction."""
    topic = members.topic("news")
    async with AIOKafkaProducer(**members.kafka, transactional_id=name(members)) as slow:
        async with slow.transaction():
            await slow.send_and_wait(topic, b"{}", key=b"open")
            await send(members, "news", [("later", {})])
            before = [await seen(members.kafka, topic, "read_committed")]
        after = [await seen(members.kafka, topic, "read_committed")]
    assert (before, after) == ([[]], [["open", "later"]])


async def test_first_process_is_shut_out_when_a_second_takes_its_partition(
    members: Workspace,
) -> None:
    """The name of the transaction is the fence: the old process cannot commit any more."""
    source, target = TopicPartition(members.topic("courses"), 0), members.topic("news")
    begun, go_on, stop = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(_: Delivery) -> Mapping[str, Any]:
        begun.set()
        await go_on.wait()
        return {}

    async def quick(_: Delivery) -> Mapping[str, Any]:
        return {}

    await send(members, "courses", courses(1))
    arguments = members.kafka, source, target
    old = asyncio.create_task(transform(*arguments, slow, group=name(members)))
    await begun.wait()
    new = asyncio.create_task(transform(*arguments, quick, group=name(members), stop=stop))

    async def drained() -> bool:
        return await lag(members, "courses") == 0

    await until(drained, what="the second process's commit")
    go_on.set()
    with pytest.raises(ProducerFenced):
        await asyncio.wait_for(old, 10)
    stop.set()
    await new
    assert await seen(members.kafka, target, "read_committed") == keys(0)
