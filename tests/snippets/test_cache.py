"""E3: what a service behind a cache gets to do, counted in its log; how old a value may be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from counting import Caller
from running import Service

from handbook.lab import until
from snippets.cache import Cache
from snippets.errors import Retriable
from snippets.naive import stampede

CLIENTS = 100
TTL, STALE = 60.0, 30.0


class Clock:
    """Seconds that pass when they are told to."""

    now = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


class Manager:
    """The manager of c-1, as the member service tells it; each load waits until it may go."""

    def __init__(self, member: Service, caller: Caller) -> None:
        self.member, self.caller = member, caller
        self.url = f"{member.url}/managers/c-1"
        self.loads = 0
        self.go = asyncio.Event()
        self.become("김담당")

    async def load(self, _: str) -> str:
        """One request."""
        self.loads += 1
        await self.go.wait()
        reply = (await self.caller.http.get(self.url)).raise_for_status()
        return str(reply.json()["name"])

    def become(self, name: str) -> None:
        """The row changes at the member service."""
        self.member.database.execute(
            "INSERT INTO registration (course_id, name) VALUES ('c-1', %s)"
            " ON CONFLICT (course_id) DO UPDATE SET name = excluded.name",
            [name],
        )

    async def asked_by_many(self, cache: Any) -> list[str]:
        """A hundred clients ask before the first load has ended."""
        self.go.clear()
        begun = self.loads
        waiting: list[int] = []

        async def ask(number: int) -> str:
            waiting.append(number)
            return str(await cache.get("c-1"))

        asking = [asyncio.create_task(ask(number)) for number in range(CLIENTS)]
        await until(lambda: len(waiting) == CLIENTS, what="all clients to ask")
        await until(lambda: self.loads > begun, what="the first load to begin")
        self.go.set()
        return list(await asyncio.gather(*asking))


@pytest.fixture
async def manager(member: Service, http: httpx.AsyncClient) -> AsyncIterator[Manager]:
    """Loads may go."""
    made = Manager(member, Caller(http))
    made.go.set()
    yield made
    made.go.set()


@pytest.mark.stack
async def test_hundred_loads_are_made_when_a_hundred_clients_miss(manager: Manager) -> None:
    """The naive twin: the value has expired, and the service gets a request for each client."""
    clock = Clock()
    cache = stampede.Cache(manager.load, ttl=TTL, clock=clock)
    await cache.get("c-1")
    clock.now += TTL
    assert await manager.asked_by_many(cache) == ["김담당"] * CLIENTS
    assert await manager.caller.requests(manager.member) == 1 + CLIENTS


@pytest.mark.stack
async def test_one_load_is_made_when_a_hundred_clients_miss(manager: Manager) -> None:
    """The others wait for the load of the first, and get its answer."""
    clock = Clock()
    cache = Cache(manager.load, ttl=TTL, clock=clock)
    await cache.get("c-1")
    clock.now += TTL
    assert await manager.asked_by_many(cache) == ["김담당"] * CLIENTS
    assert await manager.caller.requests(manager.member) == 1 + 1


@pytest.mark.stack
async def test_value_is_never_older_than_ttl_when_it_changes(manager: Manager) -> None:
    """Old until the last moment of ttl, counted from the question, and new from then on."""
    clock = Clock()

    async def slow(key: str) -> str:
        name = await manager.load(key)
        clock.now += 5
        return name

    cache = Cache(slow, ttl=TTL, clock=clock)
    asked = clock.now
    await cache.get("c-1")
    manager.become("박담당")
    seen = {}
    for age in (5.0, TTL - 0.001, TTL):
        clock.now = asked + age
        seen[age] = await cache.get("c-1")
    assert seen == {5.0: "김담당", TTL - 0.001: "김담당", TTL: "박담당"}


@pytest.mark.stack
async def test_old_value_is_served_at_once_when_it_is_stale(manager: Manager) -> None:
    """A hundred clients get the old value while one load brings the new one."""
    clock = Clock()
    cache = Cache(manager.load, ttl=TTL, stale=STALE, clock=clock)
    await cache.get("c-1")
    manager.become("박담당")
    clock.now += TTL + STALE - 0.001
    manager.go.clear()
    served = [await cache.get("c-1") for _ in range(CLIENTS)]
    manager.go.set()
    await until(lambda: _now(cache, "박담당"), what="the new value")
    assert served == ["김담당"] * CLIENTS
    assert await manager.caller.requests(manager.member) == 1 + 1


async def _now(cache: Cache[str, str], name: str) -> bool:
    return await cache.get("c-1") == name


@pytest.mark.stack
async def test_client_waits_for_a_new_value_when_stale_is_over(manager: Manager) -> None:
    """Nothing is older than ttl + stale."""
    clock = Clock()
    cache = Cache(manager.load, ttl=TTL, stale=STALE, clock=clock)
    await cache.get("c-1")
    manager.become("박담당")
    clock.now += TTL + STALE
    assert await cache.get("c-1") == "박담당"


class Flaky:
    """Answers with what it is given, or fails."""

    def __init__(self, *answers: str | Exception) -> None:
        self.answers = list(answers)
        self.loads = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def load(self, _: str) -> str:
        """The next one."""
        self.loads += 1
        answer = self.answers.pop(0)
        await self.gate.wait()
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_failure_reaches_all_who_wait_and_is_not_kept() -> None:
    """The next client loads anew."""
    flaky = Flaky(Retriable("503"), "김담당")
    cache = Cache(flaky.load, ttl=TTL)
    failed = await asyncio.gather(cache.get("c-1"), cache.get("c-1"), return_exceptions=True)
    assert [type(one) for one in failed] == [Retriable, Retriable]
    assert (await cache.get("c-1"), flaky.loads) == ("김담당", 2)


async def test_old_value_is_served_when_the_service_is_down_and_it_is_stale() -> None:
    """Until stale is over; then the failure is told."""
    clock, down = Clock(), Retriable("503")
    flaky = Flaky("김담당", down, down, down)
    cache = Cache(flaky.load, ttl=TTL, stale=STALE, clock=clock)
    await cache.get("c-1")
    clock.now += TTL
    assert await cache.get("c-1") == "김담당"
    await until(lambda: flaky.loads == 2, what="the load in the background")
    assert await cache.get("c-1") == "김담당"
    clock.now += STALE
    with pytest.raises(Retriable):
        await cache.get("c-1")


async def test_load_goes_on_when_the_client_who_began_it_gives_up() -> None:
    """The others get its answer."""
    flaky = Flaky("김담당")
    flaky.gate.clear()
    cache = Cache(flaky.load, ttl=TTL)
    first, second = (asyncio.create_task(cache.get("c-1")) for _ in range(2))
    await until(lambda: flaky.loads == 1, what="the load")
    first.cancel()
    flaky.gate.set()
    assert (await second, flaky.loads) == ("김담당", 1)
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_load_is_not_kept_when_its_key_was_forgotten_meanwhile() -> None:
    """What was asked for before the change may be older than the change."""
    flaky = Flaky("김담당", "박담당")
    flaky.gate.clear()
    cache = Cache(flaky.load, ttl=TTL)
    early = asyncio.create_task(cache.get("c-1"))
    await until(lambda: flaky.loads == 1, what="the load")
    cache.forget("c-1")
    flaky.gate.set()
    assert (await early, await cache.get("c-1"), await cache.get("c-1")) == (
        "김담당",
        "박담당",
        "박담당",
    )


async def test_least_used_value_goes_when_the_cache_is_full() -> None:
    """The size is a bound."""
    flaky = Flaky("1", "2", "3", "2 again")
    cache = Cache(flaky.load, ttl=TTL, size=2)
    for key in ("a", "b", "a", "c", "a", "b"):
        await cache.get(key)
    assert flaky.loads == 4


@pytest.mark.parametrize("wrong", [{"ttl": -1}, {"ttl": 1, "stale": -1}, {"ttl": 1, "size": 0}])
def test_values_that_keep_nothing_are_refused(wrong: dict[str, Any]) -> None:
    """With what to do."""
    make: Callable[..., object] = Cache
    with pytest.raises(ValueError, match="a cache needs"):
        make(Flaky().load, **wrong)
