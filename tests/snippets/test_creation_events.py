"""A course is created by events over three services, each a process with its own database.

The verdict is always counted in the three databases: a course is complete in all, or in none.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest
from psycopg import AsyncConnection
from running import start

from handbook.lab import Child, Database, Workspace, until, wait_until
from handbook.stack import Stack
from snippets import outbox
from snippets.checkpoint import Checkpoint, nothing
from snippets.course_creation import CourseCreation
from snippets.creation_messages import (
    CourseCreationCancelled,
    CourseCreationStarted,
    ManagerAdded,
    Message,
)
from snippets.dead_letter import REASON
from snippets.naive import cancel_without_tombstone, silent_cancel
from snippets.relay import producer_for
from snippets.services import course_events, creation_steps, participant_events, worker
from snippets.services.catalogue import Course
from snippets.services.creation_steps import COMPLETES, FAILS, of
from snippets.services.participant_events import BOARD, MEMBER, REACTIONS, Reaction

pytestmark = pytest.mark.stack
SERVICES = ("course", "member", "board")
COURSES = 5
LONG = timedelta(minutes=10)
NOWHERE = "http://127.0.0.1:9"  # by events, nobody is called


@dataclass
class World:
    """Three databases, their topics, and the services that run."""

    workspace: Workspace
    running: dict[str, Child] = field(default_factory=dict)
    topics: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        names = (*SERVICES, "dead-letters")
        self.topics = {name: self.workspace.topic(name) for name in names}
        for service in SERVICES:
            asyncio.run(worker.prepare(self.workspace.database(service).dsn, service))
        self.workspace.database("member").execute("INSERT INTO on_leave VALUES ('이휴가')")

    def settings(self, service: str, **more: Any) -> dict[str, Any]:
        """What every service is started with."""
        dsn = self.workspace.database(service).dsn
        return {"dsn": dsn, "kafka": self.workspace.kafka, "topics": self.topics, **more}

    def start(
        self, service: str, *, instance: str = "1", stop_at: str | None = None, **more: Any
    ) -> Child:
        """The service as a process."""
        target = f"snippets.services.{service}_events:main"
        settings = self.settings(service, instance=instance, **more)
        child = self.workspace.start(target, kwargs=settings, stop_at=stop_at)
        self.running[f"{service}-{instance}"] = child
        return child

    @asynccontextmanager
    async def asking(
        self, *, patience: timedelta = LONG, at: Checkpoint = nothing
    ) -> AsyncIterator[Asking]:
        """A caller of the course service."""
        database = self.workspace.database("course")
        async with await database.aconnect() as conn, outbox.doorbell(database.dsn) as bell:
            creation = CourseCreation(self.topics["course"], patience=patience, at=at)
            yield Asking(conn, creation, bell)

    def states(self, ids: Iterable[str]) -> dict[str, str]:
        """Where the creation of each course stands."""
        query = "SELECT course_id, state FROM course_creation WHERE course_id = ANY (%s)"
        return dict(self.workspace.database("course").fetch(query, [list(ids)]))

    def left(self, ids: Iterable[str]) -> dict[str, list[str]]:
        """Which of the courses are to be found where."""
        kept = "SELECT course_id FROM registration WHERE course_id = ANY (%s) ORDER BY 1"
        open_ = "SELECT id FROM course WHERE id = ANY (%s) AND state = %s ORDER BY 1"
        course, wanted = self.workspace.database("course"), list(ids)
        return {
            "pending": [row[0] for row in course.fetch(open_, [wanted, "pending"])],
            "open": [row[0] for row in course.fetch(open_, [wanted, "open"])],
            "managers": [row[0] for row in self.workspace.database("member").fetch(kept, [wanted])],
            "boards": [row[0] for row in self.workspace.database("board").fetch(kept, [wanted])],
        }

    def wait_for(self, state: str, ids: Sequence[str]) -> None:
        """Until all creations have come to `state`."""
        wanted = dict.fromkeys(ids, state)
        wait_until(
            lambda: self.states(ids) == wanted, deadline=30, what=f"all courses to be {state}"
        )

    async def settle(self, ids: Sequence[str]) -> None:
        """Until every service has handled all that was said of these courses."""
        await self.handled(ids)
        await self._handled("course", ["member", "board"], ids)

    async def handled(self, ids: Sequence[str]) -> None:
        """Until member and board have handled all that the course has said."""
        for service in ("member", "board"):
            await self._handled(service, ["course"], ids)

    async def _handled(self, service: str, topics: Sequence[str], ids: Sequence[str]) -> None:
        for sender in topics:
            box = self.workspace.database(sender)
            await until(partial(sent, box), what=f"the outbox of {sender} to be empty")
        records = [record for topic in topics for record in self.workspace.records(topic)]
        events = {record.headers["event-id"] for record in records if record.key in ids}
        inbox = self.workspace.database(service)
        await until(lambda: known(inbox, events) == len(events), what=f"{service} to handle all")

    async def send(self, topic: str, messages: Iterable[Message | Mapping[str, object]]) -> None:
        """As a service would, each with an event id of its own."""
        async with producer_for(self.workspace.kafka) as producer:
            for message in messages:
                payload = msgspec.to_builtins(message)
                await producer.send_and_wait(
                    self.topics[topic],
                    msgspec.json.encode(payload),
                    key=payload["course_id"].encode(),
                    headers=[("event-id", str(uuid4()).encode())],
                )


@dataclass(frozen=True)
class Asking:
    """Asks the course service for courses, as its HTTP side does."""

    conn: AsyncConnection
    creation: CourseCreation
    bell: outbox.Doorbell

    async def __call__(self, ids: Iterable[str], manager: str = "김담당") -> None:
        """Ask for each, and once how far it is."""
        for one in ids:
            await course_events.create(self.conn, self.creation, course(one, manager), self.bell)
            await course_events.status(self.conn, self.creation, one)


def course(course_id: str, manager: str = "김담당") -> Course:
    """What a user asks for."""
    return Course(course_id, title="이벤트 입문", manager=manager)


def sent(box: Database) -> bool:
    """Whether the service has made its tables, and has nothing more to say."""
    made = box.value("SELECT to_regclass('outbox') IS NOT NULL")
    return bool(made and box.value("SELECT count(*) = 0 FROM outbox"))


def known(inbox: Database, events: Iterable[str]) -> int:
    """How many of the events the service has handled."""
    query = "SELECT count(*) FROM inbox WHERE event_id = ANY (%s::uuid[])"
    count: int = inbox.value(query, [list(events)])
    return count


def started(course: str, manager: str = "김담당") -> CourseCreationStarted:
    """What the course service says then."""
    return CourseCreationStarted(course_id=course, title="이벤트 입문", manager=manager)


def cancelled(course: str) -> CourseCreationCancelled:
    """What undoes it."""
    return CourseCreationCancelled(course_id=course, reason="too late")


def new_ids(count: int = COURSES) -> list[str]:
    """Courses that no other test knows, in order."""
    mark = uuid4().hex[:8]
    return [f"{mark}-{number:02}" for number in range(count)]


def complete(ids: list[str]) -> dict[str, list[str]]:
    """What is left when the courses are in all three databases."""
    return {"pending": [], "open": ids, "managers": ids, "boards": ids}


NOTHING: dict[str, list[str]] = {"pending": [], "open": [], "managers": [], "boards": []}


@pytest.fixture(scope="module")
def services(stack: Stack) -> Iterator[World]:
    """All three, running; two processes of the course service share its replies."""
    with contextlib.closing(Workspace.create(stack, "creation")) as workspace:
        world = World(workspace)
        for service, instance in (("member", 1), ("board", 1), ("course", 1), ("course", 2)):
            world.start(service, instance=str(instance))
        for child in world.running.values():
            child.wait_for("consumer.assigned.1")
        yield world


@pytest.fixture(scope="module")
def stopped(stack: Stack) -> Iterator[World]:
    """Databases and topics for tests that start services themselves, one after the other."""
    with contextlib.closing(Workspace.create(stack, "creation-alone")) as workspace:
        yield World(workspace)


@pytest.fixture
def world(stopped: World) -> Iterator[World]:
    """Nothing runs, neither before nor after the test."""
    yield stopped
    for child in stopped.running.values():
        child.kill()
    stopped.running.clear()


@pytest.fixture
def fresh(workspace: Workspace) -> World:
    """Nobody has ever said anything here."""
    return World(workspace)


# The protocol


async def test_course_is_in_all_databases_when_nothing_fails(services: World) -> None:
    """a1 to d2: every creation ends, and every course is open."""
    ids = new_ids()
    async with services.asking() as ask:
        await ask(ids)

    services.wait_for("completed", ids)
    assert services.left(ids) == complete(ids)


async def test_creation_fails_cleanly_when_a_service_rejects(services: World) -> None:
    """d2 to f3: what the others did is undone, and nothing is left in any database."""
    ids = new_ids()
    async with services.asking() as ask:
        await ask(ids, manager="이휴가")

    services.wait_for("failed", ids)
    assert services.left(ids) == NOTHING
    why = "SELECT DISTINCT reason FROM course_creation WHERE course_id = ANY (%s)"
    reasons = services.workspace.database("course").fetch(why, [ids])
    assert reasons == [("이휴가 is on leave",)]


async def test_caller_asks_how_far_it_is_when_created_over_http(
    services: World, http: httpx.AsyncClient
) -> None:
    """202 and where to ask at once; the end, and the reason, when all have answered."""
    topic = {"topic": services.topics["course"], "member": NOWHERE, "board": NOWHERE}
    url = start(services.workspace, "course", settings=topic).url
    ended = {}
    for manager in ("김담당", "이휴가"):
        wanted = {"title": "이벤트 입문", "manager": manager, "style": "events"}
        key = {"Idempotency-Key": str(uuid4())}
        reply = await http.post(f"{url}/courses", json=wanted, headers=key)
        assert reply.status_code == 202
        where = url + reply.headers["Location"]

        async def over(where: str = where) -> dict[str, Any] | None:
            status: dict[str, Any] = (await http.get(where)).json()
            return None if status["missing"] else status

        ended[manager] = await until(over, what="the creation to end")

    ends = [(one["state"], one.get("reason")) for one in ended.values()]
    assert ends == [("completed", None), ("failed", "이휴가 is on leave")]
    assert services.left([one["course_id"] for one in ended.values()]) == complete(
        [ended["김담당"]["course_id"]]
    )


@asynccontextmanager
async def in_one_loop(
    world: World,
    *,
    at: Checkpoint = nothing,
    member: Mapping[type[Message], Reaction] = REACTIONS,
    board: Mapping[type[Message], Reaction] = REACTIONS,
) -> AsyncIterator[None]:
    """The three services in this process; what they pass is in one order."""
    stop = asyncio.Event()
    ends: Any = {"stop": stop, "at": at}
    async with asyncio.TaskGroup() as tasks:
        for me, reactions in ((MEMBER, member), (BOARD, board)):
            settings = world.settings(me.name, reactions=reactions, **ends)
            tasks.create_task(participant_events.run(me, **settings))
        tasks.create_task(course_events.main(**world.settings("course", **ends)))
        try:
            yield
        finally:
            stop.set()


def before(points: list[str], first: str, then: str) -> bool:
    """Whether the first `first` came before the last `then`."""
    last = len(points) - 1 - points[::-1].index(then)
    return points.index(first) < last


async def test_checkpoints_come_in_the_order_of_the_protocol(fresh: World) -> None:
    """In every service exactly its steps in their order; between them, cause before effect."""
    points: list[str] = []
    async with in_one_loop(fresh, at=points.append), fresh.asking(at=points.append) as ask:
        for manager, protocol in (("김담당", COMPLETES), ("이휴가", FAILS)):
            points.clear()
            await ask(new_ids(1), manager)
            await until(partial(points.__contains__, protocol[-1]), what=protocol[-1])
            compare(points, protocol)


def compare(points: list[str], protocol: Sequence[str]) -> None:
    """Whether what was recorded is what the protocol says."""
    for service in ("member", "board"):
        assert of(service, points) == of(service, protocol)
    # The board's answer may come before or after the member's.
    late = "creation.added_received"
    mine, wanted = of("creation", points), of("creation", protocol)
    assert mine.count(late) == wanted.count(late)
    assert [p for p in mine if p != late] == [p for p in wanted if p != late]
    assert before(points, "creation.committed", "member.start_received")
    assert before(points, "member.answer_written", protocol[-1])
    assert set(creation_steps.steps(protocol)) <= set(creation_steps.steps(points))


# Cancel before create (E33)


async def test_no_zombie_is_left_when_the_cancel_came_first(services: World) -> None:
    """The start comes late, and again: the tombstone refuses it, in both services."""
    ids = new_ids()
    events = [event for one in ids for event in (cancelled(one), started(one), started(one))]
    await services.send("course", events)

    await services.handled(ids)
    assert services.left(ids) == NOTHING


async def test_naive_cancel_leaves_zombies_when_it_comes_first(world: World) -> None:
    """The naive twin: one zombie for each course, in both services."""
    ids = new_ids()
    naive = cancel_without_tombstone.REACTIONS
    await world.send("course", [event for one in ids for event in (cancelled(one), started(one))])

    async with in_one_loop(world, member=naive, board=naive):
        await world.handled(ids)

    assert world.left(ids) == {**NOTHING, "managers": ids, "boards": ids}


async def test_naive_silence_leaves_the_course_cancelling(world: World) -> None:
    """The naive twin: the member had nothing to delete and says nothing; the course waits."""
    ids = new_ids()
    naive, stuck = silent_cancel.REACTIONS, dict.fromkeys(ids, "cancelling")

    async with in_one_loop(world, member=naive), world.asking() as ask:
        await ask(ids, "이휴가")
        await until(lambda: world.states(ids) == stuck, what="all courses to be cancelling")
        await world.settle(ids)

    assert world.states(ids) == stuck


# Kills


def die_at_each(child: Child, points: Sequence[str]) -> int:
    """SIGKILL the service at one point after the other, starting it again each time."""
    died = 0
    for point, following in zip(points, [*points[1:], None], strict=True):
        child.wait_for(point, deadline=30)
        child.kill()
        died += child.returncode == -signal.SIGKILL
        child.restart(stop_at=following)
    return died


HAPPY = {
    "course": (
        "creation.begun",
        "creation.course_added",
        "creation.start_written",
        "creation.running",
        "creation.committed",
        "creation.answered",
        "relay.after_send",
        "creation.added_received",
        "creation.completed",
        "consumer.handled",
    ),
    "member": (
        "member.start_received",
        "member.added",
        "member.answer_written",
        "consumer.handled",
        "relay.after_send",
    ),
    "board": (
        "board.start_received",
        "board.added",
        "board.answer_written",
        "consumer.handled",
        "relay.after_send",
        "consumer.committed",
    ),
}
UNHAPPY = {
    "course": (
        "creation.rejected_received",
        "creation.cancelling",
        "creation.cancel_written",
        "relay.after_send",
        "creation.removed_received",
        "creation.course_deleted",
        "creation.failed",
        "consumer.handled",
    ),
    "member": (
        "member.rejected",
        "member.answer_written",
        "member.cancel_received",
        "member.removed",
        "member.removal_written",
        "relay.after_send",
    ),
    "board": (
        "board.cancel_received",
        "board.removed",
        "board.removal_written",
        "consumer.handled",
        "relay.after_send",
        "consumer.committed",
    ),
}


@pytest.mark.parametrize(
    ("manager", "kills", "end"),
    [("김담당", HAPPY, "completed"), ("이휴가", UNHAPPY, "failed")],
)
async def test_creation_ends_wherever_its_services_are_killed(
    world: World,
    manager: str,
    kills: dict[str, tuple[str, ...]],
    end: str,
) -> None:
    """One creation, SIGKILL of each service at each of its points: it ends, nothing hangs."""
    ids = new_ids(1)
    asked: dict[str, dict[str, Any]] = {"course": {"courses": [asdict(course(ids[0], manager))]}}
    children = {
        name: world.start(name, stop_at=points[0], **asked.get(name, {}))
        for name, points in kills.items()
    }
    died = await asyncio.gather(
        *(asyncio.to_thread(die_at_each, children[name], kills[name]) for name in kills)
    )

    world.wait_for(end, ids)
    assert sum(died) == sum(map(len, kills.values())) >= 20
    assert world.left(ids) == (complete(ids) if end == "completed" else NOTHING)


# Duplicates, order, time, instances


async def test_nothing_changes_when_everything_is_delivered_again(services: World) -> None:
    """All messages once more, in any order, as new events: the inbox does not know them."""
    good, bad = new_ids(), new_ids()
    async with services.asking() as ask:
        await ask(good)
        await ask(bad, manager="이휴가")
    services.wait_for("completed", good)
    services.wait_for("failed", bad)

    rng = random.Random(33)
    for topic in SERVICES:
        records = services.workspace.records(topic)
        repeats = [msgspec.json.decode(record.value) for record in records if record.value]
        mine = [one for one in repeats if one["course_id"] in {*good, *bad}]
        await services.send(topic, rng.sample(mine, len(mine)))
    await services.settle([*good, *bad])

    assert services.states([*good, *bad]) == {
        **dict.fromkeys(good, "completed"),
        **dict.fromkeys(bad, "failed"),
    }
    assert services.left([*good, *bad]) == complete(good)


async def test_creation_is_cancelled_when_a_service_sleeps_too_long(services: World) -> None:
    """The board wakes up after the time is over: it adds and removes, and nothing is left."""
    ids, board = new_ids(), services.running["board-1"]
    added = board.reached.count("board.added")
    board.pause()
    async with services.asking(patience=timedelta(seconds=0.1)) as ask:
        await ask(ids)
    services.wait_for("cancelling", ids)

    board.resume()
    services.wait_for("failed", ids)
    assert board.reached.count("board.added") == added + len(ids)
    assert services.left(ids) == NOTHING


async def test_no_creation_is_stuck_when_two_processes_take_the_replies(services: World) -> None:
    """Member's and board's replies to one course may be handled at the same time."""
    ids = new_ids(40)
    async with services.asking() as ask:
        await ask(ids)

    services.wait_for("completed", ids)
    assert services.left(ids) == complete(ids)
    both = [services.running[name].reached for name in ("course-1", "course-2")]
    assert all(of("creation", points) for points in both)


# What is not understood


async def test_unreadable_message_is_a_dead_letter_with_reason(services: World) -> None:
    """Unknown type, a later version, a reply to nobody: put aside; what comes behind goes on."""
    strange, (unknown, late, stray) = new_ids(1), new_ids(3)
    await services.send("course", [{"type": "CourseRenamed", "course_id": unknown}])
    await services.send("course", [{**msgspec.to_builtins(started(late)), "schema": 2}])
    await services.send("member", [ManagerAdded(course_id=stray)])
    async with services.asking() as ask:
        await ask(strange)
    services.wait_for("completed", strange)

    def buried() -> dict[str | None, set[str]]:
        found: dict[str | None, set[str]] = {}
        for record in services.workspace.records("dead-letters"):
            if record.key in {unknown, late, stray}:
                found.setdefault(record.key, set()).add(record.headers[REASON])
        return found

    await until(lambda: len(buried()) == 3, what="three dead letters")
    assert buried() == {
        unknown: {"unreadable message: Invalid value 'CourseRenamed' - at `$.type`"},
        late: {"schema is not one of 1 to 1: update this consumer first"},
        stray: {f"no creation of course {stray} is known"},
    }
    assert services.left([unknown, late, stray]) == NOTHING
