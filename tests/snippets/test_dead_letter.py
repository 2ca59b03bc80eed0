"""Poison: with and without a dead-letter topic, swallowed, replayed."""

from __future__ import annotations

import asyncio
import random

import psycopg
import pytest
from aiokafka import TopicPartition
from consuming import consuming, courses, lag, name, send, wait_for_lag
from psycopg import AsyncConnection

from handbook.lab import Workspace, until
from snippets import dead_letter, inbox
from snippets.consumer import Delivery
from snippets.dead_letter import Patience, out_of_service, replay
from snippets.errors import InDoubt, Rejected, Retriable
from snippets.naive import swallow
from snippets.retry import Policy
from snippets.services import member
from snippets.services.member_consumer import on_course_created

pytestmark = pytest.mark.stack
MAIN = "snippets.services.member_consumer:main"
NAMED = {"group_instance_id": "one"}
EVENTS, POISON = 5, "m-2"
QUICK = Policy(attempts=3, first=0.001, longest=0.01)


@pytest.fixture
def members(workspace: Workspace) -> Workspace:
    """The member service's tables, a topic of one partition, and one for dead letters."""
    workspace.execute(member.CREATE_TABLE)
    workspace.execute(inbox.CREATE_TABLE)
    workspace.topic("courses", 1)
    workspace.topic("dead", 1)
    return workspace


class Handler:
    """Counts courses; cannot handle `POISON` until it is cured."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.cured = False
        self.tries = 0

    async def __call__(self, conn: AsyncConnection, delivery: Delivery) -> None:
        """The effect."""
        await on_course_created(conn, delivery)
        if delivery.payload["manager"] == POISON and not self.cured:
            self.tries += 1
            raise self.error


def counted(members: Workspace) -> dict[str, int]:
    """Managers, and how many courses they have."""
    return dict(members.fetch("SELECT name, courses FROM manager ORDER BY name"))


def once(*numbers: int) -> dict[str, int]:
    """The managers of these courses, with one course each."""
    return {f"m-{n}": 1 for n in numbers}


async def drained(members: Workspace) -> None:
    """Until nothing waits."""

    async def nothing_waits() -> bool:
        return await lag(members, "courses") == 0

    await until(nothing_waits, what="an empty backlog")


async def test_partition_stops_when_poison_has_nowhere_to_go(members: Workspace) -> None:
    """It is tried again and again; what is behind it waits, and nothing is lost."""
    handler = Handler(Rejected("no such manager"))
    await send(members, "courses", courses(EVENTS))
    async with consuming(members, [members.topic("courses")], handler, policy=QUICK):
        await until(lambda: handler.tries > 3, what="more than three tries")

    assert counted(members) == once(0, 1)
    assert await lag(members, "courses") == EVENTS - 2


@pytest.mark.parametrize(
    ("error", "tries"),
    [(Rejected("no such manager"), 1), (Retriable("try later"), 3)],
    ids=["rejected", "retriable"],
)
async def test_partition_goes_on_when_poison_is_buried(
    members: Workspace, error: Exception, tries: int
) -> None:
    """All others have their effect; the dead letter says what it was, where and why it failed."""
    handler = Handler(error)
    ids = await send(members, "courses", courses(EVENTS))
    topics = [members.topic("courses")]
    async with consuming(
        members, topics, handler, policy=QUICK, dead_letters=members.topic("dead")
    ):
        await drained(members)

    (letter,) = members.records("dead")
    assert (letter.key, letter.value) == ("c-2", b'{"manager": "m-2"}')
    assert letter.headers == {
        "event-id": str(ids[2]),
        "dead-letter-reason": dead_letter.reason(error),
        "dead-letter-topic": members.topic("courses"),
        "dead-letter-partition": "0",
        "dead-letter-offset": "2",
        "dead-letter-group": name(members),
    }
    assert (counted(members), handler.tries) == (once(0, 1, 3, 4), tries)


async def test_event_is_lost_when_its_failure_is_swallowed(members: Workspace) -> None:
    """A failure that would have passed: no effect, no backlog, nothing to replay."""
    handler = Handler(Retriable("try later"))
    await send(members, "courses", courses(EVENTS))
    async with consuming(members, [members.topic("courses")], handler, how=swallow.consume):
        await drained(members)
        handler.cured = True
        await send(members, "courses", courses(1, first=EVENTS))
        await drained(members)

    assert counted(members) == once(0, 1, 3, 4, 5)


async def test_effect_happens_once_when_a_replay_is_repeated(members: Workspace) -> None:
    """After the cure the dead letter has its effect, however often it is replayed."""
    handler = Handler(Rejected("no such manager"))
    dead = members.topic("dead")
    await send(members, "courses", courses(EVENTS))
    async with consuming(
        members, [members.topic("courses")], handler, policy=QUICK, dead_letters=dead
    ):
        await drained(members)
        handler.cured = True
        await send(members, "dead", [("c-9", {})])  # by somebody else
        group = f"replay.{members.run_id}"
        replayed = [await replay(members.kafka, dead, group=group, again=n > 1) for n in range(4)]
        await drained(members)

    assert replayed == [1, 0, 1, 1]
    assert counted(members) == once(*range(EVENTS))
    assert [letter.key for letter in members.records("dead")] == ["c-2", "c-9"]


async def test_dead_letter_is_replayed_only_to_the_group_that_failed(members: Workspace) -> None:
    """Other groups have handled it, and may have forgotten that they did."""
    handled: list[str] = []

    async def other(_: AsyncConnection, delivery: Delivery) -> None:
        handled.append(delivery.key)

    handler = Handler(Rejected("no such manager"))
    topics, dead = [members.topic("courses")], members.topic("dead")
    await send(members, "courses", courses(EVENTS))
    async with (
        consuming(members, topics, handler, policy=QUICK, dead_letters=dead),
        consuming(members, topics, other, group=f"other.{members.run_id}"),
    ):
        await until(lambda: len(handled) == EVENTS, what="the other group's effects")
        await drained(members)
        handler.cured = True
        members.execute("DELETE FROM inbox WHERE consumer LIKE 'other%'")
        await replay(members.kafka, dead, group=f"replay.{members.run_id}")
        await send(members, "courses", courses(1, first=EVENTS))
        await until(lambda: len(handled) > EVENTS, what="an event behind the replayed one")
        await drained(members)

    assert handled == [f"c-{n}" for n in range(EVENTS + 1)]
    assert counted(members) == once(*range(EVENTS + 1))


async def test_slow_handler_is_rolled_back_and_buried_at_last(members: Workspace) -> None:
    """Longer than `limit`, at every try: its effect is undone, and the partition goes on."""

    async def handler(conn: AsyncConnection, delivery: Delivery) -> None:
        await on_course_created(conn, delivery)
        if delivery.payload["manager"] == POISON:
            await asyncio.Event().wait()

    topics, dead = [members.topic("courses")], members.topic("dead")
    await send(members, "courses", courses(EVENTS))
    settings = {"policy": QUICK, "dead_letters": dead, "limit": 0.1}
    async with consuming(members, topics, handler, **settings):
        await drained(members)

    (letter,) = members.records("dead")
    assert letter.headers["dead-letter-reason"] == "no end within 0.1 s"
    assert counted(members) == once(0, 1, 3, 4)


def test_dead_letter_is_written_twice_when_killed_before_its_offset_commit(
    members: Workspace,
) -> None:
    """At least once, like all sending; the event id is the same, so that a replay counts once."""
    asyncio.run(send(members, "courses", [("c-0", {}), *courses(1, first=1)]))
    topics, dead = [members.topic("courses")], members.topic("dead")
    kwargs = {"dsn": members.dsn, "kafka": members.kafka, "topics": topics, "group": name(members)}
    settings = {**kwargs, "dead_letters": dead, "membership": NAMED}
    members.kill_at("consumer.buried", MAIN, kwargs=settings)
    other = members.start(MAIN, kwargs=settings)
    wait_for_lag(members, "courses")
    other.stop()

    first, second = members.records("dead")
    assert (first.headers, first.key) == (second.headers, "c-0")
    assert first.headers["dead-letter-reason"] == "KeyError"
    assert counted(members) == once(1)


PLACE, OTHER = TopicPartition("courses", 0), TopicPartition("courses", 1)


class Clock:
    """A time that passes when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


class Longest(random.Random):
    """Every pause is as long as the policy allows."""

    def uniform(self, a: float, b: float) -> float:
        """The bound."""
        return max(a, b)


def sqlstate(code: str) -> psycopg.Error:
    """The error that PostgreSQL reports with this code."""
    return psycopg.errors.lookup(code)()


@pytest.mark.parametrize(
    ("error", "pauses"),
    [
        (Retriable("later"), [1, 2, None]),
        (InDoubt("no reply"), [1, 2, None]),
        (sqlstate("40001"), [1, 2, None]),
        (Rejected("never"), [None]),
        (sqlstate("23505"), [None]),
        (ValueError("a bug"), [None]),
        (sqlstate("57P01"), [1, 2, 4, 5, 5]),
        (psycopg.OperationalError("no connection"), [1, 2, 4, 5, 5]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_hope_ends_when_an_event_fails_too_often(
    error: Exception, pauses: list[int | None]
) -> None:
    """Pauses grow up to the longest; a database that is away is waited for without end."""
    policy = Policy(attempts=3, first=1, longest=5)
    patience = Patience(policy, clock=Clock(), rng=Longest())

    assert [patience.failed(PLACE, error) for _ in pauses] == pauses


def test_hope_ends_when_the_deadline_is_over() -> None:
    """Each partition has its own; after a success it begins anew."""
    clock = Clock()
    patience = Patience(
        Policy(attempts=9, first=1, longest=1, deadline=10), clock=clock, rng=Longest()
    )
    error = Retriable("later")

    before = patience.failed(PLACE, error)
    clock.now = 11.0
    late, other = patience.failed(PLACE, error), patience.failed(OTHER, error)
    patience.succeeded(PLACE)
    assert (before, late, other, patience.failed(PLACE, error)) == (1, None, 1, 1)


@pytest.mark.parametrize(
    ("error", "out"),
    [
        (sqlstate("08006"), True),
        (sqlstate("53300"), True),
        (sqlstate("57P03"), True),
        (sqlstate("25006"), True),
        (sqlstate("25P04"), True),
        (psycopg.OperationalError(), True),
        (psycopg.errors.ConnectionTimeout(), True),
        (sqlstate("40P01"), False),
        (sqlstate("57014"), False),
        (sqlstate("42P01"), False),
        (psycopg.ProgrammingError(), False),
        (OSError(), False),
    ],
)
def test_database_is_out_of_service_when_its_sqlstate_says_so(error: Exception, out: bool) -> None:
    """The server or the session is in trouble, not the event; told by SQLSTATE only."""
    assert out_of_service(error) is out


def test_reason_holds_nothing_of_the_event() -> None:
    """Messages of foreign errors quote values, and headers end in logs."""
    errors = [Rejected("no such manager"), sqlstate("23505"), ValueError("secret")]
    assert [dead_letter.reason(error) for error in errors] == [
        "no such manager",
        "UniqueViolation 23505",
        "ValueError",
    ]
