"""Local cache: data of another service that rarely changes, kept for a while in this process.

Guarantees:
    A value is served until `ttl` seconds after it was asked for, with `stale` until `ttl + stale`:
    it is never older.
    Single flight: of all who miss one key at the same time one loads it, the others wait for that
    load. A caller that gives up does not end it.
    Stale while revalidate: in the `stale` seconds after `ttl` everybody gets the old value at once,
    and one load brings the new one. While that load fails the old value is served, until `stale`
    is over.

Does not guarantee:
    That you read what you just wrote, here or in the cache of another process.
    Anything about keys that expire together: each of them is loaded, once.

Assumes:
    One event loop. `load` ends sooner than `ttl`, by its own time-out. Callers may see data of that
    age; what decides about seats or rights is asked for anew.

Proved by:
    E3 tests/snippets/test_cache.py::test_one_load_is_made_when_a_hundred_clients_miss
    E3 tests/snippets/test_cache.py::test_value_is_never_older_than_ttl_when_it_changes
    E3 tests/snippets/test_cache.py::test_old_value_is_served_at_once_when_it_is_stale

Source: Go, golang.org/x/sync/singleflight; RFC 5861 (stale-while-revalidate, stale-if-error);
cachetools, TLRUCache.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from cachetools import TLRUCache

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


# --8<-- [start:entry]
@dataclass(frozen=True)
class Entry(Generic[V]):
    """A value, and when it was asked for: it cannot be newer than the question."""

    value: V
    asked: float
    # --8<-- [end:entry]


class Cache(Generic[K, V]):
    """Values by key, loaded when they are missing.

    Args:
        load: Brings one value from where it belongs.
        ttl: Seconds for which a value is served without a look.
        stale: Seconds after that for which it is served while a new one is loaded.
        size: Values to keep; the least recently used one goes first.
        clock: Seconds, never going back.
    """

    def __init__(
        self,
        load: Callable[[K], Awaitable[V]],
        *,
        ttl: float,
        stale: float = 0.0,
        size: int = 1000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if ttl < 0 or stale < 0 or size < 1:
            raise ValueError("a cache needs ttl and stale of 0 or more seconds, and a size above 0")
        self._load, self._ttl, self._clock = load, ttl, clock
        self._kept: TLRUCache[K, Entry[V]] = TLRUCache(
            size, lambda _, entry, __: entry.asked + ttl + stale, timer=clock
        )
        self._flights: dict[K, asyncio.Task[V]] = {}

    # --8<-- [start:get]
    async def get(self, key: K) -> V:
        """The value of `key`, as old as the module promises.

        Raises:
            Exception: what `load` raised, for all who waited for that load; it is not kept.
        """
        kept = self._kept.get(key)
        if kept is None:
            return await asyncio.shield(self._flight(key))
        if self._clock() >= kept.asked + self._ttl:
            self._flight(key)  # in the background
        return kept.value

    def _flight(self, key: K) -> asyncio.Task[V]:
        """The load that is under way; a new one if there is none."""
        if key not in self._flights:
            self._flights[key] = asyncio.create_task(self._fly(key))
            self._flights[key].add_done_callback(_heard)
        return self._flights[key]

    async def _fly(self, key: K) -> V:
        asked = self._clock()
        try:
            value = await self._load(key)
            if self._is_mine(key):
                self._kept[key] = Entry(value, asked)
            return value
        finally:
            if self._is_mine(key):
                del self._flights[key]
                # --8<-- [end:get]

    def _is_mine(self, key: K) -> bool:
        return self._flights.get(key) is asyncio.current_task()

    def forget(self, key: K) -> None:
        """Load `key` anew next time; a load that is under way is not kept, for it may be older."""
        self._kept.pop(key, None)
        self._flights.pop(key, None)


def _heard(flight: asyncio.Task[V]) -> None:
    """Nobody may be waiting any more: a failure is then no news."""
    if not flight.cancelled():
        flight.exception()
