"""Circuit breaker, bulkhead and retry budget: a service that fails is called less, not more.

Guarantees:
    Breaker: after `failures` failed calls in a row no call goes out for `pause` seconds; then one
    does, and its end decides for the others. With a bulkhead of `size` around it, a dead service
    gets at most `failures + size - 1` calls, and one every `pause` after that.
    Bulkhead: at most `size` calls are under way; a further one is refused at once and does not
    wait, so that one slow service does not take all tasks and connections of its caller.
    Budget: of n calls at most n / `calls_per_retry` + `saved` are repeated, whatever fails.

Does not guarantee:
    That others are as careful: each process has its own breaker, bulkhead and budget.
    An answer. Who calls must say what it does without one: later, from a cache, or not at all.

Assumes:
    One event loop. A call has its own time-out and says how it failed (`gateways.call`): one that
    its caller cancels says nothing about the service and counts as neither.

Proved by:
    E29 tests/snippets/test_breaker.py::test_dead_service_gets_few_calls_when_it_is_guarded
    E29 tests/snippets/test_breaker.py::test_one_call_decides_when_the_pause_is_over
    E29 tests/snippets/test_breaker.py::test_other_service_is_reached_when_one_hangs
    E29 tests/snippets/test_breaker.py::test_retries_are_a_share_of_the_calls_when_all_calls_fail

Source: Nygard, Release It! (2nd ed.), 5.2 Circuit Breaker, 5.3 Bulkheads; Beyer et al., Site
Reliability Engineering, chapter 21 (retry budget). Our own code: the library for asyncio that is
kept up, purgatory 3, lets all callers through at the end of a pause and reads the wall clock.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeVar

from snippets.errors import InDoubt, Rejected, Retriable
from snippets.retry import Policy, retrying

T = TypeVar("T")
Call = Callable[[], Awaitable[T]]


class Open(Retriable):
    """The breaker is open: the service was not called."""


class Full(Retriable):
    """The bulkhead is full: the service was not called."""


class State(Enum):
    """Of a breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


# --8<-- [start:breaker]
class Breaker:
    """One for each service that is called.

    Args:
        failures: Failed calls in a row that open it.
        pause: Seconds for which it stays open.
        clock: Seconds, never going back.
    """

    def __init__(
        self,
        *,
        failures: int = 5,
        pause: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        at_least(1, failures=failures)
        at_least(0, pause=pause)
        self.state = State.CLOSED
        self._most, self._pause, self._clock = failures, pause, clock
        self._failed = 0
        self._opened_at = 0.0
        self._period = 0  # one more with each change of state

    async def call(self, function: Call[T]) -> T:
        """What `function` returns or raises, unless the breaker is open.

        Raises:
            Open: nothing was called.
        """
        period = self._admit()
        try:
            answer = await function()
        except (Retriable, InDoubt):
            self._note(period, well=False)
            raise
        except Rejected:  # an answer, if not the one we wanted
            self._note(period, well=True)
            raise
        except BaseException:  # says nothing, but frees the way for another trial
            if self.state is State.HALF_OPEN:
                self._note(period, well=False)
            raise
        self._note(period, well=True)
        return answer

    def _admit(self) -> int:
        over = self._clock() >= self._opened_at + self._pause
        if self.state is State.OPEN and over:
            self._become(State.HALF_OPEN)  # this call is the trial
        elif self.state is not State.CLOSED:
            raise Open(f"not called: {self._most} calls in a row had failed")
        return self._period

    def _note(self, period: int, *, well: bool) -> None:
        if period != self._period:
            return  # the news is old: the call began before the last change
        self._failed = 0 if well else self._failed + 1
        if well and self.state is State.HALF_OPEN:
            self._become(State.CLOSED)
        elif not well and (self.state is State.HALF_OPEN or self._failed >= self._most):
            self._opened_at = self._clock()
            self._become(State.OPEN)

    def _become(self, state: State) -> None:
        self.state = state
        self._failed = 0
        self._period += 1
        # --8<-- [end:breaker]


# --8<-- [start:bulkhead]
class Bulkhead:
    """One for each service that is called.

    Args:
        size: Calls that may be under way.
    """

    def __init__(self, size: int = 10) -> None:
        at_least(1, size=size)
        self._free = size

    async def call(self, function: Call[T]) -> T:
        """What `function` returns or raises, if there is room.

        Raises:
            Full: nothing was called.
        """
        if not self._free:
            raise Full("not called: too many calls are under way")
        self._free -= 1
        try:
            return await function()
        finally:
            self._free += 1
            # --8<-- [end:bulkhead]


# --8<-- [start:budget]
class RetryBudget:
    """Shared by all calls of one service. Calls pay in, retries are paid from it.

    Args:
        calls_per_retry: Calls that pay for one retry.
        saved: Retries that can be saved up, and are there at the beginning.
    """

    def __init__(self, *, calls_per_retry: int = 10, saved: int = 10) -> None:
        at_least(1, calls_per_retry=calls_per_retry, saved=saved)
        self._price, self._most = calls_per_retry, calls_per_retry * saved
        self._balance = self._most

    def earn(self) -> None:
        """A call was made."""
        self._balance = min(self._most, self._balance + 1)

    def spend(self) -> bool:
        """Pay for one retry; False when the budget does not allow it."""
        if self._balance < self._price:
            return False
        self._balance -= self._price
        return True
        # --8<-- [end:budget]


# --8<-- [start:guard]
@dataclass(frozen=True)
class Guard:
    """All three around the calls of one service.

    The bulkhead stands outside the breaker: that we have too many calls under way is no failure of
    the service. Retries stand outside both, and give up with the last error.
    """

    policy: Policy = field(default_factory=Policy)
    breaker: Breaker = field(default_factory=Breaker)
    bulkhead: Bulkhead = field(default_factory=Bulkhead)
    budget: RetryBudget = field(default_factory=RetryBudget)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    rng: random.Random | None = None

    async def call(self, function: Call[T]) -> T:
        """What `function` returns or raises in the end.

        Raises:
            CallError: the last one; `Open` and `Full` when the service was not called.
        """

        async def once() -> T:
            return await self.bulkhead.call(lambda: self.breaker.call(function))

        self.budget.earn()
        patient = retrying(self.policy, sleep=self.sleep, rng=self.rng)
        return await patient.copy(
            stop=lambda failed: patient.stop(failed) or not self.budget.spend()
        )(once)
        # --8<-- [end:guard]


def at_least(least: int, **values: float) -> None:
    """Refuse a value that is too small, by its name."""
    for name, value in values.items():
        if value < least:
            raise ValueError(f"{name} is {value}: give {least} or more")
