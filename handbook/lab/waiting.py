"""Waiting for a condition with a deadline; never for a span of time."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any, TypeVar

from handbook.errors import CheckFailedError

POLL = 0.01
Answer = TypeVar("Answer")


class DeadlinePassedError(CheckFailedError):
    """A condition did not come true in time; the message holds what was waited for and seen."""


def wait_until(
    predicate: Callable[[], Answer],
    *,
    deadline: float = 10.0,
    what: str = "the condition",
    seen: Callable[[], object] | None = None,
) -> Answer:
    """Ask `predicate` until its answer is true, and return that answer.

    Args:
        predicate: Asked every 10 ms; what it raises is raised here.
        deadline: Seconds.
        what: What is waited for, for the message.
        seen: Describes the state at the deadline; without it the last answer does.

    Raises:
        DeadlinePassedError: the answer was not true within `deadline` seconds.
    """
    end = time.monotonic() + deadline
    while True:
        answer = predicate()
        if answer:
            return answer
        if time.monotonic() >= end:
            raise passed(what, deadline, seen() if seen else answer)
        time.sleep(POLL)


async def until(
    predicate: Callable[[], Any],
    *,
    deadline: float = 10.0,
    what: str = "the condition",
    seen: Callable[[], object] | None = None,
) -> Any:
    """`wait_until` for code in an event loop; `predicate` may be async."""
    end = time.monotonic() + deadline
    while True:
        answer = predicate()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return answer
        if time.monotonic() >= end:
            raise passed(what, deadline, seen() if seen else answer)
        await asyncio.sleep(POLL)


def passed(what: str, deadline: float, seen: object) -> DeadlinePassedError:
    """The error of a missed deadline."""
    return DeadlinePassedError(
        f"waited {deadline:g} s for {what}; last seen: {seen!r}",
        "look at the last seen state, then at the process that should have changed it",
    )
