"""Breaks the service behind the cache: when a value expires, everybody who misses it loads it.

The right way: `snippets.cache`.

Proved by:
    E3 tests/snippets/test_cache.py::test_hundred_loads_are_made_when_a_hundred_clients_miss
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from typing import Generic, TypeVar

from cachetools import TTLCache

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Cache(Generic[K, V]):
    """Values by key. Same interface as `snippets.cache.Cache`, without `stale`."""

    def __init__(
        self,
        load: Callable[[K], Awaitable[V]],
        *,
        ttl: float,
        size: int = 1000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load = load
        self._kept: TTLCache[K, V] = TTLCache(size, ttl, timer=clock)

    # --8<-- [start:get]
    async def get(self, key: K) -> V:
        """Look, miss, load: between the miss and the load's end all others miss, too."""
        with suppress(KeyError):
            return self._kept[key]
        value = self._kept[key] = await self._load(key)
        return value
        # --8<-- [end:get]
