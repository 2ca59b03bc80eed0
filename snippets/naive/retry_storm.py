"""Breaks a service that struggles: whoever fails comes back at once, as often as it takes.

Every caller sends as fast as it is refused: the load grows just when the service can take least.
The right way: `snippets.breaker`.

Proved by:
    E29 tests/snippets/test_breaker.py::test_load_multiplies_when_failed_calls_are_repeated_at_once
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from snippets.errors import InDoubt, Retriable

T = TypeVar("T")


# --8<-- [start:guard]
class Guard:
    """Repeats until it succeeds."""

    async def call(self, function: Callable[[], Awaitable[T]]) -> T:
        """What `function` returns in the end."""
        while True:
            try:
                return await function()
            except (Retriable, InDoubt):
                continue
                # --8<-- [end:guard]
