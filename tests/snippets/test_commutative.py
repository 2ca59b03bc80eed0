"""Adding instead of writing: order does not matter, nothing is lost, a repeat does nothing."""

from __future__ import annotations

import asyncio
import itertools
from uuid import UUID, uuid4

import pytest
from campuses import COURSE, Campuses, once, somebody_waits

from handbook.lab import Database, Workspace
from snippets.commutative import Change, NotEnough, Undone, apply
from snippets.compensation import undo
from snippets.naive import no_countermeasure

pytestmark = pytest.mark.stack


@pytest.fixture
def seoul(shared: Workspace) -> Database:
    """A campus with ten free seats."""
    return Campuses.make(shared, 10, 0).seoul


def free(seoul: Database) -> int:
    """The free seats."""
    return int(seoul.value("SELECT free FROM seats"))


async def add(seoul: Database, delta: int, *, change_id: UUID | None = None) -> bool:
    """One change, in a transaction of its own."""
    async with await seoul.aconnect(autocommit=False) as conn:
        return await apply(conn, Change(change_id or uuid4(), COURSE, delta))


async def test_change_is_lost_when_the_value_is_written(seoul: Database) -> None:
    """The naive change has read ten; five more come; it writes seven."""
    async with await seoul.aconnect() as conn:
        change = Change(uuid4(), COURSE, -3)
        await no_countermeasure.apply(conn, change, at=once(lambda: add(seoul, 5)))
    assert free(seoul) == 7


async def test_nothing_is_lost_when_a_change_comes_between(seoul: Database) -> None:
    """The same two, overlapping: one waits for the other, and adds to what that one left."""
    async with await seoul.aconnect(autocommit=False) as conn:
        await apply(conn, Change(uuid4(), COURSE, -3))
        waiting = asyncio.create_task(add(seoul, 5))
        await somebody_waits(seoul)
        await conn.commit()
        await waiting
    assert free(seoul) == 12


async def test_result_is_the_same_when_changes_come_in_any_order(seoul: Database) -> None:
    """All six orders of three changes."""
    ends = []
    for order in itertools.permutations((5, -3, -2)):
        before = free(seoul)
        for delta in order:
            await add(seoul, delta)
        ends.append(free(seoul) - before)
    assert ends == [0] * 6


async def test_change_has_one_effect_when_it_is_repeated_at_once(seoul: Database) -> None:
    """Eight times the same change: one applies it, the others find that out."""
    change_id = uuid4()
    applied = await asyncio.gather(*(add(seoul, -1, change_id=change_id) for _ in range(8)))
    assert sorted(applied) == [False] * 7 + [True]
    assert free(seoul) == 9


async def test_change_is_refused_when_seats_are_too_few(seoul: Database) -> None:
    """Nothing is left of it: when there are seats again, the same change passes."""
    change_id = uuid4()
    with pytest.raises(NotEnough):
        await add(seoul, -11, change_id=change_id)
    assert free(seoul) == 10
    await add(seoul, 1)
    assert await add(seoul, -11, change_id=change_id)
    assert free(seoul) == 0


async def test_change_is_refused_when_the_course_is_not_here(seoul: Database) -> None:
    """Neither applied nor remembered."""
    with pytest.raises(NotEnough):
        async with await seoul.aconnect(autocommit=False) as conn:
            await apply(conn, Change(uuid4(), "c-2", 1))
    assert seoul.fetch("TABLE seat_change") == []


async def test_late_change_is_refused_when_it_was_undone_before(seoul: Database) -> None:
    """The compensation was quicker than the change."""
    change = Change(uuid4(), COURSE, -3)
    async with await seoul.aconnect() as conn:
        assert not await undo(conn, change)
        with pytest.raises(Undone):
            await apply(conn, change)
    assert free(seoul) == 10


def test_change_of_nothing_is_refused() -> None:
    """With what to do instead."""
    with pytest.raises(ValueError, match="leave it out"):
        Change(uuid4(), COURSE, 0)
