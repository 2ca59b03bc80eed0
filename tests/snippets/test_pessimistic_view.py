"""Pessimistic view: between the steps of a move a reader sees too few seats, never too many."""

from __future__ import annotations

from uuid import uuid4

import pytest
from campuses import COURSE, Campuses, Making, once

from handbook.lab import Workspace
from snippets.commutative import Change, apply
from snippets.naive import no_countermeasure
from snippets.pessimistic_view import move
from snippets.saga import Outcome

pytestmark = pytest.mark.stack


async def totals(both: Campuses, making: Making) -> list[int]:
    """What readers see at every point of a move of five seats."""
    seen = []
    await both.move(making, 5, at=lambda _: seen.append(sum(both.free())))
    return seen


async def test_seats_are_seen_twice_when_giving_comes_first(shared: Workspace) -> None:
    """Thirty seats, and for a while thirty-five."""
    both = Campuses.make(shared, 20, 10)
    assert max(await totals(both, no_countermeasure.move)) == 35
    assert both.free() == (15, 15)


async def test_no_seat_is_seen_twice_when_taking_comes_first(shared: Workspace) -> None:
    """Thirty seats, for a while five fewer, never more."""
    both = Campuses.make(shared, 20, 10)
    seen = await totals(both, move)
    assert (min(seen), max(seen)) == (25, 30)
    assert both.free() == (15, 15)


async def sell_all(both: Campuses) -> None:
    """A customer in Busan takes what can be seen there."""
    async with await both.busan.aconnect() as conn:
        await apply(conn, Change(uuid4(), COURSE, -both.free()[1]))


async def test_seats_are_sold_twice_when_giving_comes_first(shared: Workspace) -> None:
    """Seoul has only two of the five; Busan's are sold before that is known, and stay sold."""
    both = Campuses.make(shared, 2, 10)
    selling = once(lambda: sell_all(both))
    outcome = await both.move(
        no_countermeasure.move,
        5,
        at=lambda point: selling(point) if point == "saga.after.give" else None,
    )
    sold = -both.busan.value("SELECT sum(delta) FROM seat_change WHERE delta < 0")
    assert (outcome, sold, both.free()) == (Outcome.STUCK, 15, (2, 0))
    assert both.home.fetch("SELECT step FROM manual_queue") == [("give",)]


async def test_nothing_is_sold_twice_when_the_source_refuses(shared: Workspace) -> None:
    """The same move, refused at its first step: Busan has sold the ten that it had."""
    both = Campuses.make(shared, 2, 10)
    selling = once(lambda: sell_all(both))
    outcome = await both.move(move, 5, at=selling)
    sold = -both.busan.value("SELECT sum(delta) FROM seat_change WHERE delta < 0")
    assert (outcome, sold, both.free()) == (Outcome.COMPENSATED, 10, (2, 0))
    assert both.home.fetch("TABLE manual_queue") == []
