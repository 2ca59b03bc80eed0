"""Reread value: a write is refused when the row is no longer as the saga has read it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import uuid4

import pytest
from campuses import COURSE, Campuses, somebody_waits

from handbook.lab import Database, Workspace
from snippets import reread
from snippets.commutative import Change, apply
from snippets.naive import no_countermeasure
from snippets.reread import Changed
from snippets.services import campus

pytestmark = pytest.mark.stack


@pytest.fixture
def seoul(shared: Workspace) -> Database:
    """A campus with ten free seats."""
    return Campuses.make(shared, 10, 0).seoul


def free(seoul: Database) -> int:
    """The free seats."""
    return int(seoul.value("SELECT free FROM seats"))


async def test_write_erases_what_came_between_when_nothing_is_reread(seoul: Database) -> None:
    """A saga reads ten, others take three, the saga writes half as many again: three are back."""
    async with await seoul.aconnect() as conn:
        seen = await campus.read(conn, COURSE)
        await apply(conn, Change(uuid4(), COURSE, -3))
        await no_countermeasure.write(conn, seen, seen.free + seen.free // 2)
    assert free(seoul) == 15


async def test_write_is_refused_when_the_row_has_changed_since(seoul: Database) -> None:
    """The saga reads again, decides again, and gets through: seven and half of it."""
    async with await seoul.aconnect() as conn:
        seen = await campus.read(conn, COURSE)
        await apply(conn, Change(uuid4(), COURSE, -3))
        with pytest.raises(Changed):
            await reread.write(conn, seen, seen.free + seen.free // 2)
        assert free(seoul) == 7

        seen = await campus.read(conn, COURSE)
        await reread.write(conn, seen, seen.free + seen.free // 2)
    assert free(seoul) == 10


async def test_write_is_refused_when_the_row_was_changed_there_and_back(seoul: Database) -> None:
    """The value is the same, the row is not: who has the three seats now has paid for them."""
    async with await seoul.aconnect() as conn:
        seen = await campus.read(conn, COURSE)
        await apply(conn, Change(uuid4(), COURSE, -3))
        await apply(conn, Change(uuid4(), COURSE, 3))
        assert free(seoul) == seen.free
        with pytest.raises(Changed):
            await reread.write(conn, seen, 20)


async def test_one_of_two_gets_through_when_both_have_read_the_same(seoul: Database) -> None:
    """The second waits for the first one's commit, and is refused then."""
    async with await seoul.aconnect(autocommit=False) as conn, await seoul.aconnect() as other:
        seen = await campus.read(other, COURSE)
        await reread.write(conn, seen, 11)
        second = asyncio.create_task(reread.write(other, seen, 12))
        await somebody_waits(seoul)
        await conn.commit()
        with pytest.raises(Changed):
            await second
    assert free(seoul) == 11


async def test_write_is_refused_when_the_row_is_gone_or_the_value_is_wrong(
    seoul: Database,
) -> None:
    """Deleted is changed, too; and nobody can have less than no seats."""
    async with await seoul.aconnect() as conn:
        seen = await campus.read(conn, COURSE)
        with pytest.raises(Changed):
            await reread.write(conn, replace(seen, course_id="c-2"), 5)
        with pytest.raises(ValueError, match="must be 0 or more"):
            await reread.write(conn, seen, -1)
    assert free(seoul) == 10
