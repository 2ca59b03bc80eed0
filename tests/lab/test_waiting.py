"""Claims of `handbook.lab.waiting`."""

from __future__ import annotations

import itertools

import pytest

from handbook.lab import until, wait_until
from handbook.lab.waiting import DeadlinePassedError


def test_wait_until_returns_the_answer_when_it_comes_true() -> None:
    """The first true answer is returned."""
    numbers = itertools.count()
    assert wait_until(lambda: max(0, next(numbers) - 2)) == 1


def test_wait_until_says_what_and_last_state_when_the_deadline_passes() -> None:
    """The message holds what was waited for, how long, and what was last seen."""
    with pytest.raises(DeadlinePassedError, match=r"waited 0.05 s for 3 rows; last seen: 0"):
        wait_until(lambda: 0, deadline=0.05, what="3 rows")


def test_wait_until_describes_the_state_when_told_how() -> None:
    """`seen` describes the state, for predicates that only say no."""
    with pytest.raises(DeadlinePassedError, match=r"last seen: \['leads'\]"):
        wait_until(lambda: False, deadline=0, seen=lambda: ["leads"])


def test_wait_until_raises_what_the_predicate_raises_when_it_fails() -> None:
    """A failing predicate is no reason to wait."""
    with pytest.raises(ZeroDivisionError):
        wait_until(lambda: 1 / 0, deadline=60)


async def test_until_awaits_when_the_predicate_is_async() -> None:
    """In an event loop the predicate may be plain or async."""
    numbers = itertools.count()

    async def asked() -> int:
        return next(numbers)

    assert await until(asked) == 1
    assert await until(lambda: "yes") == "yes"
    with pytest.raises(DeadlinePassedError, match="never"):
        await until(lambda: None, deadline=0.02, what="what never comes")
