"""The course's side of a creation by events: its states, its watchdog, two replies at once."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import permutations, product
from typing import Any, Protocol

import pytest
from psycopg import AsyncConnection

from handbook.lab import Workspace, until
from handbook.stack import Stack
from snippets import course_creation, outbox
from snippets.course_creation import (
    TRANSITIONS,
    CourseCreation,
    Status,
    UnknownCreation,
)
from snippets.creation_messages import (
    BoardAdded,
    BoardRejected,
    BoardRemoved,
    CourseCreationStarted,
    ManagerAdded,
    ManagerRejected,
    ManagerRemoved,
    Reply,
    Unreadable,
    read_course_event,
    read_reply,
)
from snippets.naive import count_completions
from snippets.services import catalogue
from snippets.services.catalogue import Course, NoPlace

pytestmark = pytest.mark.stack
COURSES = 5
MINUTE = timedelta(minutes=1)
BLOCKED = "SELECT wait_event_type FROM pg_stat_activity WHERE pid = %s"
ADDED: list[Reply] = [ManagerAdded(course_id="c-0"), BoardAdded(course_id="c-0")]
REMOVED: list[Reply] = [ManagerRemoved(course_id="c-0"), BoardRemoved(course_id="c-0")]
REJECTED = ManagerRejected(course_id="c-0", reason="이휴가 is on leave")


class Clock:
    """A time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 24, tzinfo=UTC)

    def __call__(self) -> datetime:
        """The time."""
        return self.now


class Counts(Protocol):
    """What the right one and its naive twin are."""

    async def start(self, conn: AsyncConnection, course: Course) -> bool:
        """Begin."""

    async def on_reply(self, conn: AsyncConnection, reply: Reply) -> str:
        """Take in a reply; the state after it."""


@pytest.fixture(scope="module")
def made(stack: Stack) -> Iterator[Workspace]:
    """The course service's database, for one test after the other."""
    with contextlib.closing(Workspace.create(stack, "states")) as workspace:
        for module in (catalogue, outbox, course_creation, count_completions):
            workspace.execute(module.CREATE_TABLE)
        yield workspace


@pytest.fixture
def db(made: Workspace) -> Workspace:
    """Empty."""
    made.execute("TRUNCATE course, term, outbox, course_creation, creation_reply, creation_count")
    return made


def creation(**changes: Any) -> CourseCreation:
    """As the service has it."""
    return CourseCreation("course-events", **changes)


def course(number: int = 0, **changes: Any) -> Course:
    """What a user asks for."""
    return Course(f"c-{number}", title="이벤트 입문", manager="김담당", **changes)


def said(db: Workspace) -> list[str]:
    """The types of the events that the course has written, in order."""
    return [kind for (kind,) in db.fetch("SELECT payload::json->>'type' FROM outbox ORDER BY id")]


def courses(db: Workspace) -> list[tuple[Any, ...]]:
    """Every course with its own state and that of its creation."""
    return db.fetch(
        "SELECT course_id, course.state, course_creation.state FROM course_creation"
        " LEFT JOIN course ON id = course_id ORDER BY 1"
    )


async def test_course_is_open_when_all_have_added_in_any_order(db: Workspace) -> None:
    """The first reply changes nothing that others see; the second ends the creation."""
    subject = creation()
    async with await db.aconnect() as conn:
        await subject.start(conn, course())
        assert courses(db) == [("c-0", "pending", "running")]
        states = [await subject.on_reply(conn, reply) for reply in reversed(ADDED)]

    assert states == ["running", "completed"]
    assert courses(db) == [("c-0", "open", "completed")]
    assert said(db) == ["CourseCreationStarted"]


async def test_start_leaves_nothing_when_its_transaction_is_rolled_back(db: Workspace) -> None:
    """Course, event and state are one transaction: no ghost event, no course without a state."""
    async with await db.aconnect() as conn, conn.transaction(force_rollback=True):
        await creation().start(conn, course())

    assert (courses(db), said(db)) == ([], [])
    assert db.value("SELECT count(*) FROM course") == 0


async def test_second_start_does_nothing_when_the_id_was_used(db: Workspace) -> None:
    """The id names the transaction: also one that has failed is not begun again."""
    subject = creation()
    async with await db.aconnect() as conn:
        begun = [await subject.start(conn, course()) for _ in range(2)]
        for reply in [REJECTED, *REMOVED]:
            await subject.on_reply(conn, reply)
        begun.append(await subject.start(conn, course()))

    assert begun == [True, False, False]
    assert said(db) == ["CourseCreationStarted", "CourseCreationCancelled"]


async def test_nothing_is_begun_when_the_term_is_full(db: Workspace) -> None:
    """A rule of the course service itself: no event, so nothing to cancel."""
    db.execute("INSERT INTO term (name, capacity) VALUES ('2026-가을', 1)")
    async with await db.aconnect() as conn:
        await creation().start(conn, course(0, term="2026-가을"))
        with pytest.raises(NoPlace):
            async with conn.transaction():
                await creation().start(conn, course(1, term="2026-가을"))

    assert said(db) == ["CourseCreationStarted"]


async def test_place_in_the_term_is_given_back_when_the_creation_fails(db: Workspace) -> None:
    """At the end, not before: until then nobody else can have it."""
    db.execute("INSERT INTO term (name, capacity) VALUES ('2026-가을', 1)")
    subject, taken = creation(), []
    async with await db.aconnect() as conn:
        await subject.start(conn, course(term="2026-가을"))
        for reply in [REJECTED, *REMOVED]:
            await subject.on_reply(conn, reply)
            taken.append(db.value("SELECT courses FROM term"))

    assert taken == [1, 1, 0]


# Two replies at once


async def at_once(db: Workspace, subject: Counts, number: int) -> None:
    """Both replies are at work at the same time; the second has to wait for the first's commit."""
    first, second = ManagerAdded(course_id=f"c-{number}"), BoardAdded(course_id=f"c-{number}")
    async with await db.aconnect() as one, await db.aconnect() as other:

        async def blocked() -> bool:
            return bool(db.value(BLOCKED, [other.info.backend_pid]) == "Lock")

        async with one.transaction():
            await subject.start(one, course(number))
        async with one.transaction():
            await subject.on_reply(one, first)
            late = asyncio.create_task(subject.on_reply(other, second))
            await until(blocked, what="the second reply to wait for the first")
        await late


async def test_naive_count_is_stuck_when_two_come_at_once(db: Workspace) -> None:
    """Both read 2, both write 1: every course runs for ever."""
    for number in range(COURSES):
        await at_once(db, count_completions.CourseCreation(), number)

    stuck = db.fetch("SELECT missing, state FROM creation_count")
    assert stuck == [(1, "running")] * COURSES


async def test_creation_ends_when_two_replies_come_at_once(db: Workspace) -> None:
    """The same order of events, with the row locked first: nothing is stuck."""
    for number in range(COURSES):
        await at_once(db, creation(), number)

    assert courses(db) == [(f"c-{number}", "open", "completed") for number in range(COURSES)]


async def test_naive_count_is_complete_when_one_is_repeated(db: Workspace) -> None:
    """The manager counts twice, and nobody has heard of a board."""
    subject = count_completions.CourseCreation()
    async with await db.aconnect() as conn:
        await subject.start(conn, course())
        states = [await subject.on_reply(conn, ADDED[0]) for _ in range(2)]

    assert states == ["running", "completed"]


async def test_creation_waits_for_the_board_when_one_is_repeated(db: Workspace) -> None:
    """Replies are counted per participant, not per message."""
    subject = creation()
    async with await db.aconnect() as conn:
        await subject.start(conn, course())
        states = [await subject.on_reply(conn, ADDED[0]) for _ in range(3)]
        status = await subject.status(conn, "c-0")

    assert states == ["running"] * 3
    assert status == Status("c-0", "running", None, missing=("board",))


# Cancelling


async def test_nothing_is_deleted_before_all_have_removed(db: Workspace) -> None:
    """First `cancelling` and its event, in one transaction; the course goes at the very end."""
    subject, seen = creation(), []
    async with await db.aconnect() as conn:
        await subject.start(conn, course())
        for reply in [REJECTED, *REMOVED]:
            await subject.on_reply(conn, reply)
            seen.append((*courses(db), len(said(db))))
        status = await subject.status(conn, "c-0")

    assert seen == [
        (("c-0", "cancelling", "cancelling"), 2),
        (("c-0", "cancelling", "cancelling"), 2),
        (("c-0", None, "failed"), 2),
    ]
    assert said(db) == ["CourseCreationStarted", "CourseCreationCancelled"]
    assert status == Status("c-0", "failed", "이휴가 is on leave")


async def test_cancelling_leaves_nothing_when_its_transaction_is_rolled_back(
    db: Workspace,
) -> None:
    """State and event are one: neither a silent `cancelling` nor an event without it."""
    async with await db.aconnect() as conn:
        await creation().start(conn, course())
        async with conn.transaction(force_rollback=True):
            await creation().on_reply(conn, REJECTED)

    assert courses(db) == [("c-0", "pending", "running")]
    assert said(db) == ["CourseCreationStarted"]


async def test_creation_ends_the_same_when_replies_come_in_another_order(db: Workspace) -> None:
    """Every order of a rejection and what follows it: failed, one cancellation, nothing left."""
    replies: list[Reply] = [REJECTED, ADDED[1], *REMOVED]
    orders = [o for o in permutations(replies) if o.index(REJECTED) < min(map(o.index, REMOVED))]
    subject = creation()
    async with await db.aconnect() as conn:
        for order in orders:
            async with conn.transaction(force_rollback=True):
                await subject.start(conn, course())
                states = [await subject.on_reply(conn, reply) for reply in order]
                events = await (await conn.execute("SELECT count(*) FROM outbox")).fetchone()
                left = await (await conn.execute("SELECT count(*) FROM course")).fetchone()
                # A late `added` may come after the end; it changes nothing.
                assert (states[-1], events, left) == ("failed", (2,), (0,)), order
    assert len(orders) == 8


async def test_state_changes_only_where_the_table_says(db: Workspace) -> None:
    """Four states, seven things that can happen: whatever is not in the table changes nothing."""
    board: Reply = BoardRejected(course_id="c-0", reason="full")
    words = {"added": ADDED, "rejected": [REJECTED, board], "removed": REMOVED}
    subject, changed = creation(), {}
    async with await db.aconnect() as conn:
        for state, word in product(("running", "completed", "cancelling", "failed"), words):
            async with conn.transaction(force_rollback=True):
                await subject.start(conn, course())
                await conn.execute("UPDATE course_creation SET state = %s", (state,))
                after = [await subject.on_reply(conn, reply) for reply in words[word]]
                if after[-1] != state:
                    changed[state, word] = after[-1]

    wanted = {key: step.to for key, step in TRANSITIONS.items() if key[1] != "cancel"}
    assert changed == wanted


async def test_ended_creation_never_changes_whatever_comes(db: Workspace) -> None:
    """Random replies, repeats and cancellations: both ends are final, and true to the course."""
    rng, subject, ends = random.Random(34), creation(), set()
    async with await db.aconnect() as conn:
        for number in range(30):
            async with conn.transaction():
                await subject.start(conn, course(number))
                states = [await anything(subject, conn, rng, f"c-{number}") for _ in range(12)]
            end = next((s for s in states if s in {"completed", "failed"}), None)
            assert end is None or set(states[states.index(end) :]) == {end}
            ends.add(end)

    shown = {"running": "pending", "cancelling": "cancelling", "completed": "open", "failed": None}
    assert [row for row in courses(db) if row[1] != shown[row[2]]] == []
    assert {"completed", "failed"} <= ends


async def anything(
    subject: CourseCreation, conn: AsyncConnection, rng: random.Random, course: str
) -> str:
    """One of the things that can happen to a creation."""
    simple: list[Callable[..., Reply]] = [ManagerAdded, BoardAdded, ManagerRemoved, BoardRemoved]
    if rng.random() < 0.1:
        return await subject.cancel(conn, course, "the user changed their mind")
    if rng.random() < 0.1:
        return await subject.on_reply(conn, ManagerRejected(course_id=course, reason="no"))
    return await subject.on_reply(conn, rng.choice(simple)(course_id=course))


# The watchdog


async def test_creation_is_cancelled_when_it_does_not_end_in_time(db: Workspace) -> None:
    """Only what is overdue; the late reply that comes afterwards changes nothing."""
    clock = Clock()
    subject = creation(patience=MINUTE, clock=clock)
    async with await db.aconnect() as conn:
        await subject.start(conn, course(0))
        clock.now += MINUTE
        await subject.start(conn, course(1))
        cancelled = await subject.cancel_overdue(conn)
        late = [await subject.on_reply(conn, reply) for reply in ADDED]
        status = await subject.status(conn, "c-0")

    assert (cancelled, late) == (["c-0"], ["cancelling", "cancelling"])
    assert status == Status("c-0", "cancelling", "not completed in time", ("member", "board"))
    assert [row[2] for row in courses(db)] == ["cancelling", "running"]


async def test_cancellation_is_asked_for_again_when_nobody_answers(db: Workspace) -> None:
    """After twice the time each time, with the first reason, until all have answered."""
    clock = Clock()
    subject = creation(patience=MINUTE, clock=clock)
    async with await db.aconnect() as conn:
        await subject.start(conn, course())
        await subject.on_reply(conn, REJECTED)
        asked = []
        for minute in range(1, 9):
            clock.now += MINUTE
            if await subject.cancel_overdue(conn):
                asked.append(minute)
        ended = [await subject.on_reply(conn, reply) for reply in REMOVED]
        clock.now += 60 * MINUTE
        assert await subject.cancel_overdue(conn) == []

    assert asked == [1, 3, 7]
    assert ended == ["cancelling", "failed"]
    assert said(db) == ["CourseCreationStarted", *["CourseCreationCancelled"] * 4]
    why = db.fetch("SELECT DISTINCT payload::json->>'reason' FROM outbox ORDER BY 1")
    assert why == [("이휴가 is on leave",), (None,)]


async def test_watchdog_leaves_a_creation_alone_when_a_reply_is_at_work(db: Workspace) -> None:
    """The locked row is passed over: the reply that ends it in the last moment wins."""
    clock = Clock()
    subject = creation(patience=MINUTE, clock=clock)
    async with await db.aconnect() as conn, await db.aconnect() as watchdog:
        await subject.start(conn, course())
        await subject.on_reply(conn, ADDED[0])
        clock.now += MINUTE
        async with conn.transaction():
            await subject.on_reply(conn, ADDED[1])
            meanwhile = await subject.cancel_overdue(watchdog)
        afterwards = await subject.cancel_overdue(watchdog)

    assert (meanwhile, afterwards) == ([], [])
    assert courses(db) == [("c-0", "open", "completed")]


# What is refused


async def test_reply_is_rejected_when_nobody_started_that_course(db: Workspace) -> None:
    """An answer without a question is for the dead letters."""
    async with await db.aconnect() as conn:
        for asking in (
            creation().on_reply(conn, ADDED[0]),
            creation().cancel(conn, "c-0", "why not"),
            creation().status(conn, "c-0"),
        ):
            with pytest.raises(UnknownCreation, match="no creation of course c-0"):
                await asking


GOOD = {"type": "CourseCreationStarted", "course_id": "c", "title": "t", "manager": "m"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"schema": 2}, "schema"),
        ({"type": "CourseRenamed"}, "CourseRenamed"),
        ({"type": None}, "type"),
        ({"title": 7}, "title"),
        ({"course_id": ""}, "course_id"),
    ],
)
def test_message_is_refused_when_it_is_not_understood(
    changes: dict[str, object], reason: str
) -> None:
    """The reason says what is wrong, for whoever looks into the dead letters."""
    with pytest.raises(Unreadable, match=reason):
        read_course_event({**GOOD, **changes})
    with pytest.raises(Unreadable):
        read_reply(GOOD)


def test_message_is_read_when_a_newer_sender_added_a_field() -> None:
    """A tolerant reader: what it does not know it leaves."""
    read = read_course_event({**GOOD, "language": "ko"})

    assert read == CourseCreationStarted(course_id="c", title="t", manager="m")


@pytest.mark.parametrize("patience", [timedelta(), -MINUTE])
def test_patience_is_refused_when_nobody_could_answer_in_it(patience: timedelta) -> None:
    """A watchdog that bites at once would cancel everything."""
    with pytest.raises(ValueError, match="patience must be longer"):
        creation(patience=patience)
