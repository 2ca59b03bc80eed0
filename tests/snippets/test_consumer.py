"""Consumers: killed anywhere, down, out of order, out of a database; and the naive twins."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.structs import ConsumerRecord
from consuming import Publish, consuming, courses, lag, name, send, wait_for_lag
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo

from handbook.lab import Child, Proxy, Workspace, until
from snippets import inbox, relay
from snippets.consumer import Delivery, Undecodable, consume, decode
from snippets.correlation import correlation_id
from snippets.errors import Retriable
from snippets.group import Membership
from snippets.naive import round_robin
from snippets.retry import Policy
from snippets.services import member
from snippets.services.member import add_course

Record = ConsumerRecord[bytes, bytes]
pytestmark = pytest.mark.stack
MAIN = "snippets.services.member_consumer:main"
EVENTS = 5
COURSES, SLOW = (0, 2), 2  # the keys hash to partitions 2 and 1
QUICK = Membership(heartbeat_interval_ms=100)
HASTY = Membership(heartbeat_interval_ms=100, max_poll_interval_ms=1000)
PATIENT = Policy(attempts=10_000, first=0.01, longest=0.05, deadline=60)
# Who comes back under its name need not wait until its last session has timed out.
MORTAL = {"session_timeout_ms": 1000, "heartbeat_interval_ms": 200}
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


class Longest(random.Random):
    """Every pause is as long as the policy allows."""

    def uniform(self, a: float, b: float) -> float:
        """The bound."""
        return max(a, b)


async def count(conn: AsyncConnection, delivery: Delivery) -> None:
    """The effect."""
    await add_course(conn, delivery.payload["manager"])


async def handled(members: Workspace, expected: int = EVENTS) -> None:
    """Until so many managers have a course."""
    await until(lambda: effects(members).total() >= expected, what=f"{expected} effects")


async def test_member_stays_in_its_group_when_an_event_waits_for_its_retry(
    workspace: Workspace,
) -> None:
    """The pause is longer than `max_poll_interval_ms`: no rebalance, and other partitions go on."""
    workspace.execute(member.CREATE_TABLE)
    workspace.execute(inbox.CREATE_TABLE)
    topic = workspace.topic("courses", 3)
    points: list[str] = []
    tries: list[str] = []

    async def handler(conn: AsyncConnection, delivery: Delivery) -> None:
        tries.append(delivery.key)
        if delivery.key == "c-0" and tries.count("c-0") == 1:
            raise Retriable("later")
        await count(conn, delivery)

    await send(workspace, "courses", [(f"c-{n}", {"manager": f"m-{n}"}) for n in (0, 0, 2)])
    pause = Policy(first=1.3, longest=1.3)
    settings = {"policy": pause, "rng": Longest(), "limit": 0.3, "membership": HASTY}
    async with consuming(workspace, [topic], handler, at=points.append, **settings):
        await handled(workspace, 3)

    assert (sorted(tries[:2]), tries[2:]) == (["c-0", "c-2"], ["c-0", "c-0"])
    assert [point for point in points if "assigned" in point] == [
        f"consumer.assigned.{n}" for n in range(3)
    ]


async def test_no_event_is_buried_when_the_database_is_away(members: Workspace) -> None:
    """A dead database is no poison: tries do not count, and afterwards all have their effect."""
    members.topic("dead", 1)
    points: list[str] = []
    await send(members, "courses", courses(EVENTS))
    with Proxy(members.stack.postgres.port) as to_database:
        dsn = make_conninfo(members.dsn, host="127.0.0.1", port=to_database.port)
        to_database.refuse()
        settings = {"dsn": dsn, "policy": Policy(attempts=1, longest=0.02), "at": points.append}
        topics, dead = [members.topic("courses")], members.topic("dead")
        async with consuming(members, topics, count, dead_letters=dead, **settings):
            await until(lambda: points.count("consumer.holds") >= 3, what="three tries")
            to_database.heal()
            await handled(members)
        assert to_database.faults == 1

    assert (effects(members), members.records("dead")) == (once(EVENTS), [])


async def test_effect_happens_once_when_the_reply_to_its_commit_is_lost(
    members: Workspace,
) -> None:
    """Nobody knows whether it was committed; the inbox does."""
    tries = []
    await send(members, "courses", courses(EVENTS))
    with Proxy(members.stack.postgres.port) as to_database:

        async def handler(conn: AsyncConnection, delivery: Delivery) -> None:
            await count(conn, delivery)
            tries.append(delivery.key)
            if len(tries) == 2:
                to_database.drop_replies()

        dsn = make_conninfo(members.dsn, host="127.0.0.1", port=to_database.port)
        settings = {"dsn": dsn, "policy": PATIENT}
        async with consuming(members, [members.topic("courses")], handler, **settings):
            await until(lambda: len(tries) == EVENTS, what="every event")
            await handled(members)
        assert to_database.faults == 1

    assert effects(members) == once(EVENTS)


async def test_no_event_is_delivered_twice_when_a_second_member_comes(members: Workspace) -> None:
    """The event in hand is ended and committed before its partition goes to another."""
    begun, go_on = asyncio.Event(), asyncio.Event()
    points: list[str] = []

    async def slow(conn: AsyncConnection, delivery: Delivery) -> None:
        begun.set()
        await go_on.wait()
        await count(conn, delivery)

    await send(members, "courses", courses(EVENTS))
    topics, settings = [members.topic("courses")], {"at": points.append, "membership": QUICK}
    async with consuming(members, topics, slow, **settings):
        await begun.wait()
        async with consuming(members, topics, slow, **settings):
            await until(lambda: "consumer.revoked" in points, what="a rebalance")
            go_on.set()
            await handled(members)

    assert (points.count("consumer.handled"), effects(members)) == (EVENTS, once(EVENTS))


def test_other_member_goes_on_when_the_first_is_frozen_in_its_handler(members: Workspace) -> None:
    """PostgreSQL ends the frozen transaction after `limit`: nobody waits longer for its inbox."""
    asyncio.run(send(members, "courses", courses(EVENTS)))
    frozen = start(members, stop_at="handler.begun", membership=MORTAL, limit=1)
    frozen.wait_for("handler.begun")
    other = start(members, membership=MORTAL)
    wait_for_lag(members, "courses")
    other.stop()

    assert frozen.alive
    assert effects(members) == once(EVENTS)


async def test_event_in_hand_is_ended_when_the_consumer_is_stopped(members: Workspace) -> None:
    """And no other is begun; its offset is committed."""
    stop = asyncio.Event()

    async def handler(conn: AsyncConnection, delivery: Delivery) -> None:
        stop.set()
        await count(conn, delivery)

    await send(members, "courses", courses(EVENTS))
    arguments = members.dsn, members.kafka, [members.topic("courses")], name(members), handler
    await consume(*arguments, stop=stop)

    assert (effects(members), await lag(members, "courses")) == (once(1), EVENTS - 1)


async def test_handler_works_for_the_request_that_caused_the_event(members: Workspace) -> None:
    """The header's id when it is harmless in a log; the event's own id when there is none."""
    seen: list[str] = []

    async def handler(_: AsyncConnection, __: Delivery) -> None:
        seen.append(correlation_id.get())

    rows = [
        relay.Row(n, uuid4(), members.topic("courses"), "c-1", "{}", given)
        for n, given in enumerate(["lab-17", None, "a b{}"])
    ]
    async with relay.producer_for(members.kafka) as producer:
        await relay.publish(producer, rows)
    async with consuming(members, [members.topic("courses")], handler):
        await until(lambda: len(seen) == len(rows), what="every event")

    assert seen == ["lab-17", str(rows[1].event_id), str(rows[2].event_id)]


async def test_aborted_event_is_never_handled(members: Workspace) -> None:
    """What a transaction wrote and took back does not exist."""
    topic = members.topic("courses")
    async with AIOKafkaProducer(**members.kafka, transactional_id=name(members)) as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b'{"manager": "nobody"}', key=b"c", headers=[EVENT_ID])
        await producer.abort_transaction()
    await send(members, "courses", courses(1))
    async with consuming(members, [topic], count):
        await handled(members, 1)

    assert effects(members) == once(1)


EVENT_ID = ("event-id", str(uuid4()).encode())


def record(value: bytes | None, headers: Sequence[tuple[str, bytes]] = (EVENT_ID,)) -> Record:
    """As aiokafka delivers it."""
    return ConsumerRecord("courses", 0, 7, 0, 0, b"c-1", value, 0, 3, 0, headers)


@pytest.mark.parametrize(
    "poison",
    [
        record(None),
        record(b"{"),
        record(b"[]"),
        record(b"[" * 100_000),
        record(b'{"a": "\xff"}'),
        record(b'{"schema": 2}'),
        record(b'{"schema": "1"}'),
        record(b"{}", [("event-id", b"7")]),
        record(b"{}", [EVENT_ID, ("other", b"\xff")]),
        record(b"{}", []),
    ],
)
def test_record_is_rejected_when_it_is_no_event(poison: Record) -> None:
    """It will never be understood: no retry, and the reason holds nothing of its content."""
    with pytest.raises(Undecodable):
        decode(poison)


def test_event_is_decoded_when_its_schema_is_known() -> None:
    """Everything the handler needs."""
    event_id = UUID(EVENT_ID[1].decode())
    payload = {"schema": 2, "manager": "김담당"}
    decoded = decode(record(json.dumps(payload).encode()), schema=2)
    headers = {"event-id": str(event_id)}
    assert decoded == Delivery("courses", 0, 7, "c-1", payload, event_id, headers)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"limit": 300}, "max_poll_interval_ms"),
        ({"topics": "courses"}, "list of topics"),
        ({"topics": []}, "list of topics"),
        ({"group": ""}, "name a group"),
        ({"dead_letters": "courses"}, "topic of their own"),
        ({"batch": 0}, "batch"),
    ],
)
async def test_consumer_says_what_is_wrong_with_its_settings(
    settings: dict[str, Any], words: str
) -> None:
    """Before it connects to anything."""
    arguments = {"topics": ["courses"], "group": "member", **settings}
    with pytest.raises(ValueError, match=words):
        await consume("", {}, handler=count, **arguments)


async def test_consumer_names_the_topic_that_does_not_exist(members: Workspace) -> None:
    """Instead of waiting for it, as aiokafka does; also the one that is needed only later."""
    for topic, dead in (("gone", None), (members.topic("courses"), "gone")):
        arguments = members.dsn, members.kafka, [topic], name(members), count
        with pytest.raises(ValueError, match=r"create the topic.* gone"):
            await consume(*arguments, dead_letters=dead)


def test_membership_is_refused_when_one_lost_heartbeat_would_end_it() -> None:
    """Two heartbeats fit into a session."""
    with pytest.raises(ValueError, match="two heartbeats"):
        Membership(session_timeout_ms=1000, heartbeat_interval_ms=600)
