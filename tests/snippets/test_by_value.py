"""By value: large bookings take settled seats only, small ones what they see."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from campuses import COURSE, Campuses, move_of, somebody_waits

from handbook.lab import Workspace
from snippets import semantic_lock
from snippets.by_value import Booking, book
from snippets.commutative import NotEnough
from snippets.naive import no_countermeasure
from snippets.semantic_lock import Pending

pytestmark = pytest.mark.stack
STRICT_FROM = 1_000_000
LARGE = Booking(uuid4(), COURSE, seats=10, fee=3_000_000)
SMALL = Booking(uuid4(), COURSE, seats=1, fee=300_000)


@pytest.fixture
def both(shared: Workspace) -> Campuses:
    """Busan has three seats, and Seoul ten to give."""
    return Campuses.make(shared, 10, 3)


async def test_large_booking_takes_seats_in_flight_when_all_are_alike(
    both: Campuses,
) -> None:
    """Ten seats arrive, ten are sold; then the move is undone, and cannot be."""
    move = move_of(10, uuid4())
    async with both.open() as (seoul, busan):
        _, give, *_ = semantic_lock.move(seoul, busan).steps
        await give.action(move)
        await no_countermeasure.book(busan.conn, LARGE, strict_from=STRICT_FROM)
        assert give.compensation is not None
        with pytest.raises(NotEnough):
            await give.compensation(move)
    assert both.free()[1] == 3


async def test_only_the_large_booking_waits_when_seats_are_in_flight(both: Campuses) -> None:
    """The large one is told to come again; after the move was undone there is nothing for it."""
    move = move_of(10, uuid4())
    async with both.open() as (seoul, busan):
        _, give, *_ = semantic_lock.move(seoul, busan).steps
        await give.action(move)
        with pytest.raises(Pending):
            await book(busan.conn, LARGE, strict_from=STRICT_FROM)
        assert await book(busan.conn, SMALL, strict_from=STRICT_FROM)
        assert give.compensation is not None
        await give.compensation(move)
        with pytest.raises(NotEnough):
            async with busan.conn.transaction():
                await book(busan.conn, LARGE, strict_from=STRICT_FROM)
    assert both.free()[1] == 2


async def test_large_booking_passes_when_the_move_has_ended(both: Campuses) -> None:
    """Once, and a repeat takes no seats."""
    await both.move(semantic_lock.move, 10)
    async with await both.busan.aconnect() as conn:
        for first_time in (True, False):
            async with conn.transaction():
                assert await book(conn, LARGE, strict_from=STRICT_FROM) is first_time
    assert both.free() == (0, 3)


async def test_saga_waits_when_a_large_booking_is_at_work(both: Campuses) -> None:
    """Between its look at the flag and its commit no saga begins with the row."""
    async with await both.seoul.aconnect(autocommit=False) as conn, both.open() as (seoul, busan):
        await book(conn, LARGE, strict_from=STRICT_FROM)
        take = semantic_lock.move(seoul, busan).steps[0].action
        taking = asyncio.ensure_future(take(move_of(5, uuid4())))
        await somebody_waits(both.seoul)
        await conn.commit()
        with pytest.raises(NotEnough):
            await taking
    assert both.free() == (0, 3)


@pytest.mark.parametrize(("seats", "fee"), [(0, 1), (-1, 1), (1, -1)])
def test_booking_is_refused_when_it_makes_no_sense(seats: int, fee: int) -> None:
    """Before anything is asked of the database."""
    with pytest.raises(ValueError, match="at least one seat"):
        Booking(uuid4(), COURSE, seats, fee)
