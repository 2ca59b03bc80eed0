"""Retry: call again what may succeed later, a bounded number of times, at random moments.

Guarantees:
    Only what may succeed is tried again: `Retriable`, `InDoubt`, and the SQLSTATEs of a transaction
    that lost a race (40001, 40P01). Everything else goes to the caller at once.
    At most `attempts` calls, and none begins after `deadline` seconds. The last error is raised.

Does not guarantee:
    That the call happens once: the one before it may have done its work (see Assumes).
    That a struggling server recovers: retries add load; a budget and a breaker bound it.

Assumes:
    The call is idempotent: a repeat with the same arguments has the same effect as one call.

Proved by:
    E8 tests/snippets/test_retry.py::test_call_is_repeated_when_its_transaction_lost_a_race
    E15 tests/snippets/test_retry.py::test_last_error_is_raised_when_the_attempts_are_used_up

Source: Brooker, Exponential Backoff and Jitter (AWS Architecture Blog, 2015), "full jitter";
PostgreSQL 18, 13.5 Serialization Failure Handling.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from psycopg import Error
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_after_delay,
)

from snippets.errors import InDoubt, Retriable

# --8<-- [start:may_succeed]
SERIALIZATION_FAILURE, DEADLOCK_DETECTED = "40001", "40P01"


def may_succeed(error: BaseException) -> bool:
    """Whether the same call can end otherwise; by class and SQLSTATE, never by message."""
    if isinstance(error, Error):
        return error.sqlstate in {SERIALIZATION_FAILURE, DEADLOCK_DETECTED}
    return isinstance(error, Retriable | InDoubt)
    # --8<-- [end:may_succeed]


# --8<-- [start:policy]
@dataclass(frozen=True)
class Policy:
    """How often and how long to try.

    Attributes:
        attempts: Calls in all, the first included.
        first: Seconds; the longest pause before the second call. It doubles with each call.
        longest: Seconds; the longest pause of all.
        deadline: Seconds after the first call in which another may begin.
    """

    attempts: int = 5
    first: float = 0.05
    longest: float = 2.0
    deadline: float = 10.0

    def pause(self, failed: int, rng: random.Random) -> float:
        """Seconds to wait after `failed` calls: anywhere from none to the bound (full jitter)."""
        return rng.uniform(0, min(self.longest, self.first * 2 ** (failed - 1)))
        # --8<-- [end:policy]


def retrying(
    policy: Policy | None = None,
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    rng: random.Random | None = None,
) -> AsyncRetrying:
    """For coroutines. Call the result with a function and its arguments; raises the last error.

    The function must be an `async def`: a lambda that returns a coroutine is not repeated.
    """
    policy = policy or Policy()
    return AsyncRetrying(
        sleep=sleep,
        stop=stop_after_attempt(policy.attempts) | stop_after_delay(policy.deadline),
        wait=_pauses(policy, rng),
        retry=retry_if_exception(may_succeed),
        reraise=True,
    )


def retrying_sync(
    policy: Policy | None = None,
    *,
    sleep: Callable[[float], None] = time.sleep,
    rng: random.Random | None = None,
) -> Retrying:
    """`retrying` for threads: `retrying_sync(policy)(function, *arguments)`."""
    policy = policy or Policy()
    return Retrying(
        sleep=sleep,
        stop=stop_after_attempt(policy.attempts) | stop_after_delay(policy.deadline),
        wait=_pauses(policy, rng),
        retry=retry_if_exception(may_succeed),
        reraise=True,
    )


def _pauses(policy: Policy, rng: random.Random | None) -> Callable[[RetryCallState], float]:
    chance = rng or random.Random()  # noqa: S311
    return lambda call: policy.pause(call.attempt_number, chance)
