"""Styles of creating a course over real services: lost replies, conflicts, what each style holds.

The verdict is counted in three databases: a course is complete in all, or in none.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import NAMESPACE_URL, uuid5

import psycopg
import pytest
from psycopg import AsyncConnection
from running import NOTHING, World, complete

from handbook.lab import Database
from snippets.checkpoint import Checkpoint, nothing
from snippets.errors import CallError, Rejected
from snippets.idempotency import InFlight
from snippets.naive import conflict_after_calls, rollback_is_enough
from snippets.retry import Policy
from snippets.services import catalogue, creating, web
from snippets.services.catalogue import Course, Outdated
from snippets.services.creating import STYLES, Cancelled, StyleName, Unfinished
from snippets.services.gateways import Participant
from snippets.services.means import Means, means

pytestmark = pytest.mark.stack
ATTEMPTS = 2
QUICK = Policy(attempts=ATTEMPTS, first=0.01)
CALLING = sorted(name for name in STYLES if name != "events")
"""Styles that call the others before they return."""
TERM = "2026-2"
SEED = 20261126
RIVALS, DROPS = 5, 10


def course(number: int = 0, manager: str = "김담당", term: str | None = None) -> Course:
    """What a user asks for; its id is the intent's."""
    return Course(str(uuid5(NAMESPACE_URL, str(number))), f"과정 {number}", manager, term)


@asynccontextmanager
async def equipped(world: World, *, at: Checkpoint = nothing) -> AsyncIterator[Means]:
    """What the course service works with, in this process."""
    dsn = world.course.dsn
    async with (
        web.database(dsn) as pool,
        means(dsn, pool, **world.urls, policy=QUICK, at=at) as made,
    ):
        yield made


def open_term(database: Database, capacity: int = 100) -> None:
    """A term (학기) with places."""
    database.execute("INSERT INTO term (name, capacity) VALUES (%s, %s)", [TERM, capacity])


def die(point: str) -> Checkpoint:
    """The process ends at `point`, as far as the function under test can see."""

    def at(name: str) -> None:
        if name == point:
            raise RuntimeError

    return at


# What every style does


@pytest.mark.parametrize("style", CALLING)
async def test_course_is_in_all_databases_when_nothing_fails(
    world: World, style: StyleName
) -> None:
    """Once, however often it is asked for, and it takes one place in its term."""
    open_term(world.course)
    asked = course(term=TERM)
    async with equipped(world) as tools:
        made = [await STYLES[style](tools, asked) for _ in range(3)]
    assert {(one.id, one.state) for one in made} == {(asked.id, "open")}
    assert world.verdict() == complete(asked.id)
    assert world.course.value("SELECT courses FROM term") == 1


@pytest.mark.parametrize("style", CALLING)
async def test_nothing_is_left_when_a_service_rejects(world: World, style: StyleName) -> None:
    """The first or the second: what was done before is undone, the place is free again."""
    open_term(world.course)
    world.member.database.execute("INSERT INTO on_leave VALUES ('이휴가')")
    world.board.database.execute("INSERT INTO tombstone (course_id) VALUES (%s)", [course(1).id])
    async with equipped(world) as tools:
        for asked in (course(0, manager="이휴가", term=TERM), course(1, term=TERM)):
            with pytest.raises(Rejected) as refused:
                await STYLES[style](tools, asked)
            assert not isinstance(refused.value, Cancelled)
    assert world.verdict() == NOTHING
    assert world.course.value("SELECT courses FROM term") == 0


@pytest.mark.parametrize("style", CALLING)
async def test_lost_replies_leave_no_orphans_in_any_style(world: World, style: StyleName) -> None:
    """Of 12 courses some lose all replies of one service: these are in no database."""
    chance, whole, faults = random.Random(SEED), [], 0
    async with equipped(world) as tools:
        for number in range(12):
            lossy = chance.choice([None, None, world.to_member, world.to_board])
            if lossy is None:
                whole.append((await STYLES[style](tools, course(number))).id)
                continue
            lossy.drop_replies(ATTEMPTS)
            faults += ATTEMPTS
            with pytest.raises(Cancelled):
                await STYLES[style](tools, course(number))
    assert faults == world.to_member.faults + world.to_board.faults
    assert 0 < len(whole) < 12
    assert world.verdict() == complete(*whole)


@pytest.mark.parametrize("style", CALLING)
async def test_no_course_is_added_when_its_term_is_full(world: World, style: StyleName) -> None:
    """Nor when there is no such term; nothing is left at the others."""
    open_term(world.course, capacity=1)
    async with equipped(world) as tools:
        first = await STYLES[style](tools, course(0, term=TERM))
        for late in (course(1, term=TERM), course(2, term="2099-1")):
            with pytest.raises(Rejected):
                await STYLES[style](tools, late)
    assert world.verdict() == complete(first.id)


@pytest.mark.parametrize("style", STYLES)
async def test_other_content_is_refused_when_the_id_was_used(
    world: World, style: StyleName
) -> None:
    """The first course stays as it is, everywhere."""
    async with equipped(world) as tools:
        await STYLES[style](tools, course())
        before = world.verdict()
        with pytest.raises(Rejected):
            await STYLES[style](tools, replace(course(), title="다른 과정"))
    assert world.verdict() == before


@pytest.mark.parametrize("style", STYLES)
async def test_course_is_made_once_when_two_workers_make_it_at_once(
    world: World, style: StyleName
) -> None:
    """One may be told to come again; it is never done twice, nor half."""
    async with equipped(world) as tools:
        both = (STYLES[style](tools, course()) for _ in range(2))
        ends = await asyncio.gather(*both, return_exceptions=True)
        assert all(isinstance(end, Course | Unfinished) for end in ends)
        assert (await STYLES[style](tools, course())).id == course().id
    assert world.course.fetch("SELECT id FROM course") == [(course().id,)]
    if style != "events":
        assert world.verdict() == complete(course().id)


@pytest.mark.parametrize("style", ["long-transaction", "version-check", "commit-first"])
async def test_repeat_ends_what_could_not_be_undone(world: World, style: StyleName) -> None:
    """The board's replies are lost and the member is gone: unfinished, until it is back."""

    def trouble(point: str) -> None:
        if point == "creating.manager_added":
            world.to_member.refuse()

    world.to_board.drop_replies(ATTEMPTS)
    async with equipped(world, at=trouble) as tools:
        with pytest.raises(Unfinished):
            await STYLES[style](tools, course())
    assert world.verdict()["managers"] == [course().id]
    world.to_member.heal()
    async with equipped(world) as tools:
        with pytest.raises(Rejected):
            await STYLES[style](tools, course())
    assert world.verdict() == NOTHING


async def test_stuck_saga_is_ended_when_people_resume_it(world: World) -> None:
    """A repeat does not: the policy has been used up, somebody has to look."""

    def trouble(point: str) -> None:
        if point == "saga.after.manager":
            world.to_member.refuse()

    world.to_board.drop_replies(ATTEMPTS)
    async with equipped(world, at=trouble) as tools:
        for _ in range(2):
            with pytest.raises(Unfinished, match="stuck"):
                await creating.orchestrated(tools, course())
    world.to_member.heal()
    async with equipped(world) as tools:
        assert len(await tools.sagas.resume(stuck=True)) == 1
        with pytest.raises(Cancelled):
            await creating.orchestrated(tools, course())
    assert world.verdict() == NOTHING


@pytest.mark.parametrize("style", ["long-transaction", "version-check", "commit-first"])
async def test_course_is_not_shown_when_its_worker_was_replaced(
    world: World, style: StyleName
) -> None:
    """What is to be committed with it refuses: the course is not committed either."""

    async def replaced(_: AsyncConnection, __: Course) -> None:
        raise InFlight("another worker took the key over")

    async with equipped(world) as tools:
        with pytest.raises(InFlight):
            await STYLES[style](tools, course(), keep=replaced)
        assert world.verdict()["open"] == []
        await STYLES[style](tools, course())
    assert world.verdict() == complete(course().id)


# What each style holds while it waits for others

OPEN_TRANSACTIONS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND state = 'idle in transaction'
"""


@pytest.mark.parametrize(
    ("style", "held"),
    [
        ("long-transaction", (1, "locked")),
        ("version-check", (1, "free")),
        ("commit-first", (0, "free")),
        ("saga", (0, "free")),
    ],
)
async def test_connection_and_lock_are_held_during_the_calls_as_the_style_says(
    world: World, style: StyleName, held: tuple[int, str]
) -> None:
    """Between the calls: transactions that are open, and the term's row."""
    seen = []

    def look(point: str) -> None:
        if point in {"creating.manager_added", "saga.after.manager"}:
            seen.append((world.course.value(OPEN_TRANSACTIONS), row_of_term(world.course)))

    open_term(world.course)
    async with equipped(world, at=look) as tools:
        await STYLES[style](tools, course(term=TERM))
    assert seen == [held]


def row_of_term(database: Database) -> str:
    """Whether another transaction could change it now."""
    try:
        database.execute("SELECT FROM term FOR NO KEY UPDATE NOWAIT")
    except psycopg.errors.LockNotAvailable:
        return "locked"
    return "free"


# E11: the version is checked after the calls


@dataclass(frozen=True)
class Meeting(Participant):
    """All have read before anybody calls."""

    barrier: asyncio.Barrier

    async def register(self, course_id: str, name: str) -> None:
        """When all are here."""
        await self.barrier.wait()
        await super().register(course_id, name)


async def race(world: World, create: Callable[[Means, Course], Awaitable[Course]]) -> list[str]:
    """Five courses of one term at once; ids of those that were created."""
    open_term(world.course)
    async with equipped(world) as tools:
        meeting = Meeting(tools.member.http, tools.member.url, asyncio.Barrier(RIVALS))
        together = replace(tools, member=meeting)
        calls = (create(together, course(number, term=TERM)) for number in range(RIVALS))
        ends = await asyncio.gather(*calls, return_exceptions=True)
    winners = [end.id for end in ends if isinstance(end, Course)]
    assert sum(isinstance(end, Outdated) for end in ends) == RIVALS - len(winners)
    return winners


async def test_conflict_leaves_an_orphan_for_each_loser(world: World) -> None:
    """The naive twin: N - 1 conflicts, N - 1 managers and boards of courses that do not exist."""
    winners = await race(world, conflict_after_calls.version_check)
    found = world.verdict()
    assert found["open"] == winners
    assert len(winners) == 1
    assert len(found["managers"]) == len(found["boards"]) == RIVALS


async def test_conflict_leaves_nothing_when_the_version_has_moved_on(world: World) -> None:
    """As many conflicts; each is undone."""
    winners = await race(world, creating.version_check)
    assert len(winners) == 1
    assert world.verdict() == complete(*winners)
    assert world.course.value("SELECT courses FROM term") == 1


# E14: what a dead process has left


async def test_pending_course_is_undone_when_its_worker_died(world: World) -> None:
    """Not before its time: a worker that is alive is not disturbed."""
    async with equipped(world, at=die("creating.manager_added")) as tools:
        with pytest.raises(RuntimeError):
            await creating.commit_first(tools, course())
    half = {**NOTHING, "pending": [course().id], "managers": [course().id]}
    async with equipped(world) as tools:
        assert await creating.recover(tools, older_than=timedelta(minutes=1)) == 0
        assert world.verdict() == half
        assert await creating.recover(tools, older_than=timedelta()) == 1
    assert world.verdict() == NOTHING


async def test_course_stays_given_up_when_its_worker_was_only_slow(world: World) -> None:
    """Both calls succeed, too late: the course is not shown, and what was done is undone."""

    def give_up(point: str) -> None:
        if point == "creating.board_added":
            world.course.execute(catalogue.GIVE_UP, [course().id])

    async with equipped(world, at=give_up) as tools:
        with pytest.raises(Unfinished, match="cancelling"):
            await creating.commit_first(tools, course())
        assert world.verdict()["open"] == []
        await creating.recover(tools, older_than=timedelta())
    assert world.verdict() == NOTHING


async def test_open_course_is_not_undone_when_a_second_worker_fails(world: World) -> None:
    """The first has shown it meanwhile; the second one's calls get no reply."""

    def show(point: str) -> None:
        if point == "creating.manager_added":
            world.course.execute(catalogue.SHOW, [course().id])
            world.to_board.drop_replies(ATTEMPTS)

    async with equipped(world, at=show) as tools:
        assert (await creating.commit_first(tools, course())).state == "open"
    assert world.verdict() == complete(course().id)


# E16: "a rollback is enough"


async def test_rollback_leaves_an_orphan_for_each_lost_reply(world: World) -> None:
    """The naive twin: orphans = drops."""
    async with equipped(world) as tools:
        for number in range(DROPS):
            world.to_member.drop_replies(1)
            with pytest.raises(CallError):
                await rollback_is_enough.long_transaction(tools, course(number))
    orphans = sorted(course(number).id for number in range(DROPS))
    assert world.to_member.faults == DROPS
    assert world.verdict() == {**NOTHING, "managers": orphans}


async def test_lost_reply_leaves_nothing_when_it_is_cancelled(world: World) -> None:
    """Repaired: whether the call acted or not, it is cancelled before the rollback."""
    async with equipped(world) as tools:
        for number in range(DROPS):
            world.to_member.drop_replies(ATTEMPTS)
            with pytest.raises(Cancelled):
                await creating.long_transaction(tools, course(number))
    assert world.to_member.faults == DROPS * ATTEMPTS
    assert world.verdict() == NOTHING


# Events


async def test_event_is_written_with_the_course_when_it_is_created_by_events(
    world: World,
) -> None:
    """Nobody is called; the course is pending, and a repeat writes no second event."""
    async with equipped(world) as tools:
        made = [await creating.by_events(tools, course()) for _ in range(2)]
    assert [one.state for one in made] == ["pending", "pending"]
    assert world.course.fetch("SELECT topic, key FROM outbox") == [("course", course().id)]
    assert world.verdict() == {**NOTHING, "pending": [course().id]}
