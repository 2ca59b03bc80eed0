"""Semantic lock: what readers of two databases see while seats move from one to the other."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from campuses import COURSE, ONCE, Campuses, elsewhere, move_of, once, somebody_waits

from handbook.lab import Workspace
from snippets import pessimistic_view, semantic_lock
from snippets.commutative import NotEnough
from snippets.saga import Coordinator, Outcome
from snippets.semantic_lock import Pending, acquire, overdue, read, release, settled, snapshot
from snippets.services import campus

pytestmark = pytest.mark.stack
NOW = datetime(2026, 11, 26, tzinfo=UTC)


@pytest.fixture
def both(shared: Workspace) -> Campuses:
    """Thirty seats: twenty here, ten there."""
    return Campuses.make(shared, 20, 10)


def in_an_hour() -> datetime:
    """A clock."""
    return datetime.now(UTC) + timedelta(hours=1)


async def sample(both: Campuses) -> int | None:
    """The sum as a reader has it who asks here; None when the reader was refused."""
    async with both.open() as (seoul, busan):
        try:
            rows = await snapshot([seoul.conn, busan.conn], COURSE)
        except Pending:
            return None
    return sum(row.free for row in rows)


async def test_sum_is_wrong_in_between_when_readers_see_no_flag(both: Campuses) -> None:
    """A move without flag, seen at each of its points: five seats are nowhere for a while."""
    seen: list[int] = []
    outcome = await both.move(pessimistic_view.move, 5, at=lambda _: seen.append(sum(both.free())))
    assert (outcome, both.free()) == (Outcome.DONE, (15, 15))
    assert set(seen) == {30, 25}


async def test_sum_is_right_in_every_sample_when_readers_ask(both: Campuses) -> None:
    """The same move with the flag: a sample at each point shows thirty, or is refused."""
    seen: list[int | None] = []
    outcome = await both.move(
        semantic_lock.move, 5, at=lambda _: seen.append(elsewhere(lambda: sample(both)))
    )
    assert (outcome, both.free()) == (Outcome.DONE, (15, 15))
    assert seen[0] == seen[-1] == 30
    assert set(seen) == {30, None}


async def test_sum_is_right_in_every_sample_when_the_move_is_compensated(both: Campuses) -> None:
    """Busan does not have the course: the flag goes with the seats that come back."""
    both.busan.execute("UPDATE seats SET course_id = 'c-2'")
    seen: list[tuple[int, bool]] = []
    state = "SELECT free, pending_by IS NULL FROM seats"
    outcome = await both.move(
        semantic_lock.move, 5, at=lambda _: seen.append(both.seoul.fetch(state)[0])
    )
    assert (outcome, both.free()) == (Outcome.COMPENSATED, (20, 10))
    assert set(seen) == {(20, True), (15, False)}
    assert both.seoul.fetch(state) == [(20, True)]


async def test_sum_is_wrong_when_a_move_runs_between_two_single_reads(both: Campuses) -> None:
    """Seoul is read before the move, Busan after it; neither has a flag: five seats too many."""
    async with both.open() as (seoul, busan):
        first = await read(seoul.conn, COURSE)
        await both.move(semantic_lock.move, 5)
        second = await read(busan.conn, COURSE)
    assert first.free + second.free == 35


async def test_sum_is_right_when_a_move_runs_between_two_reads(both: Campuses) -> None:
    """The second round differs from the first, the third is equal to the second."""
    reads: list[str] = []
    moving = once(lambda: both.move(semantic_lock.move, 5))

    def at(point: str) -> None:
        reads.append(point)
        moving(point)

    async with both.open() as (seoul, busan):
        rows = await snapshot([seoul.conn, busan.conn], COURSE, at=at)
    assert [row.free for row in rows] == [15, 15]
    assert len(reads) == 6


async def test_reader_is_refused_when_rows_change_in_every_round(both: Campuses) -> None:
    """It says so, and does not add up what does not belong together."""
    async with both.open() as (seoul, busan):
        with pytest.raises(Pending, match="changed in 3 rounds"):
            await snapshot(
                [seoul.conn, busan.conn],
                COURSE,
                attempts=3,
                at=lambda _: both.busan.execute("UPDATE seats SET version = version + 1"),
            )


async def test_flag_stays_until_the_killed_saga_is_resumed(
    shared: Workspace, both: Campuses
) -> None:
    """SIGKILL after each step: refused, overdue, resumed, and then thirty seats again."""
    for point in ("saga.after.take", "saga.after.give", "saga.after.show-target"):
        saga_id = uuid4()
        dsns = {"home": both.home.dsn, "source": both.seoul.dsn, "target": both.busan.dsn}
        kwargs = {**dsns, "moves": [move_of(1, saga_id)]}
        shared.kill_at(point, "snippets.services.seat_move:main", kwargs=kwargs)
        assert await sample(both) is None
        async with both.open() as (seoul, busan), await both.home.aconnect() as conn:
            assert await overdue(seoul.conn) == []
            assert await overdue(seoul.conn, clock=in_an_hour) == [(COURSE, saga_id)]
            resumed = await Coordinator(conn, policy=ONCE).resume(
                [semantic_lock.move(seoul, busan)]
            )
        assert resumed == {saga_id: Outcome.DONE}
        assert await sample(both) == 30
    assert both.free() == (17, 13)


async def test_second_saga_is_refused_when_the_first_is_at_work(both: Campuses) -> None:
    """It changes nothing; it passes when the first has ended."""
    async with both.open() as (seoul, busan):
        steps = semantic_lock.move(seoul, busan).steps
        first, second = (move_of(5, uuid4()) for _ in range(2))
        await steps[0].action(first)
        with pytest.raises(Pending):
            await steps[0].action(second)
        assert both.free() == (15, 10)
        for step in steps[1:]:
            await step.action(first)
        for step in steps:
            await step.action(second)
    assert both.free() == (10, 20)
    assert await sample(both) == 30


async def test_late_repeat_sets_no_flag_when_the_saga_has_ended(both: Campuses) -> None:
    """A call that was lost in the network arrives after all: nothing happens."""
    async with both.open() as (seoul, busan):
        steps, data = semantic_lock.move(seoul, busan).steps, move_of(5, uuid4())
        for step in steps:
            await step.action(data)
        await steps[0].action(data)
        await steps[1].action(data)
    assert await sample(both) == 30


async def test_list_leaves_out_what_is_in_flight(both: Campuses) -> None:
    """The rest is shown; the reader of the one row is told to come again."""
    both.seoul.execute(campus.OFFER, ["c-2", 7])
    owner = uuid4()
    async with await both.seoul.aconnect() as conn:
        await acquire(conn, COURSE, owner)
        assert [seats.course_id for seats in await settled(conn)] == ["c-2"]
        with pytest.raises(Pending):
            await read(conn, COURSE)
        assert await release(conn, COURSE, owner)
        assert [seats.course_id for seats in await settled(conn)] == [COURSE, "c-2"]


async def test_flag_is_its_owners_when_somebody_else_releases(both: Campuses) -> None:
    """A second release, or a stranger's, takes nothing away."""
    owner, stranger = uuid4(), uuid4()
    async with await both.seoul.aconnect() as conn:
        await acquire(conn, COURSE, owner)
        assert not await release(conn, COURSE, stranger)
        with pytest.raises(Pending):
            await acquire(conn, COURSE, stranger)
        assert await release(conn, COURSE, owner)
        assert not await release(conn, COURSE, owner)


async def test_flag_is_not_taken_over_when_it_is_overdue(both: Campuses) -> None:
    """What is under it is not settled: only the end of its saga settles it."""
    owner: UUID = uuid4()
    async with await both.seoul.aconnect() as conn:
        await acquire(conn, COURSE, owner, lease=timedelta(seconds=1), clock=lambda: NOW)
        assert await overdue(conn, clock=lambda: NOW) == []
        assert await overdue(conn, clock=lambda: NOW + timedelta(seconds=2)) == [(COURSE, owner)]
        with pytest.raises(Pending):
            await acquire(conn, COURSE, uuid4())


async def test_saga_waits_when_a_reader_holds_the_row(both: Campuses) -> None:
    """`hold`: no saga begins before the reader's transaction ends."""
    async with await both.seoul.aconnect(autocommit=False) as conn, both.open() as (seoul, busan):
        await read(conn, COURSE, hold=True)
        take = semantic_lock.move(seoul, busan).steps[0].action
        taking = asyncio.ensure_future(take(move_of(5, uuid4())))
        await somebody_waits(both.seoul)
        await conn.commit()
        await taking
    assert both.free() == (15, 10)


async def test_unknown_course_is_refused(both: Campuses) -> None:
    """By its own error: there is nothing to wait for."""
    async with await both.seoul.aconnect() as conn:
        with pytest.raises(NotEnough):
            await read(conn, "c-9")
