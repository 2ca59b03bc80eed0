"""E29: the calls that a failing service gets, counted before its door; and the naive twin."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from counting import waiting
from running import World

from handbook.lab import until
from snippets.breaker import Breaker, Bulkhead, Full, Guard, Open, RetryBudget, State
from snippets.errors import CallError, InDoubt, Rejected, Retriable
from snippets.naive import retry_storm
from snippets.retry import Policy, retrying
from snippets.services.gateways import call

CLIENTS = 10
FAILURES, SIZE, PAUSE = 5, 5, 30.0
QUICK = Policy(attempts=5, first=0.001, longest=0.01)


class Clock:
    """Seconds that pass when they are told to."""

    now = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


@dataclass
class Remote:
    """A service in the hands of the test: fails, answers, or keeps its callers waiting."""

    fails: Exception | None = None
    calls: int = 0
    go: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.go.set()

    async def ask(self) -> str:
        """One call; how it ends is decided when it begins."""
        self.calls += 1
        fails = self.fails
        await self.go.wait()
        if fails:
            raise fails
        return "answer"


def guard(clock: Clock, **parts: Any) -> Guard:
    """Quick to retry, slow to forgive."""
    breaker = Breaker(failures=FAILURES, pause=PAUSE, clock=clock)
    return Guard(**{"policy": QUICK, "breaker": breaker, "bulkhead": Bulkhead(SIZE), **parts})


def asking(world: World, http: httpx.AsyncClient) -> Callable[[], Any]:
    """A call of the member service, through the proxy."""

    async def ask() -> httpx.Response:
        return await call(http, "GET", f"{world.urls['member']}?ids=c-1")

    return ask


def kinds(ends: list[Any]) -> set[str]:
    """How calls ended."""
    return {type(end).__name__ for end in ends}


@pytest.mark.stack
async def test_load_multiplies_when_failed_calls_are_repeated_at_once(
    world: World, http: httpx.AsyncClient
) -> None:
    """The naive twin: ten intents become a hundred calls and more, until somebody heals it."""
    storm = retry_storm.Guard()
    world.to_member.drop_replies(100_000)
    clients = [asyncio.create_task(storm.call(asking(world, http))) for _ in range(CLIENTS)]
    await until(lambda: world.to_member.faults >= 10 * CLIENTS, what="the storm")
    world.to_member.heal()
    ends = await asyncio.gather(*clients)
    assert kinds(ends) == {"Response"}
    assert world.to_member.faults >= 10 * CLIENTS


@pytest.mark.stack
async def test_dead_service_gets_few_calls_when_it_is_guarded(
    world: World, http: httpx.AsyncClient
) -> None:
    """At most failures + size - 1; then one a pause; and all are served when it is back."""
    clock = Clock()
    guarded = guard(clock)
    world.to_member.drop_replies(100_000)

    async def all_clients() -> list[Any]:
        calls = (guarded.call(asking(world, http)) for _ in range(CLIENTS))
        return await asyncio.gather(*calls, return_exceptions=True)

    ends = await all_clients()
    first = world.to_member.faults
    clock.now += PAUSE
    again = await all_clients()
    second = world.to_member.faults - first
    world.to_member.heal()
    clock.now += PAUSE
    await guarded.call(asking(world, http))
    healed = await asyncio.gather(*(guarded.call(asking(world, http)) for _ in range(SIZE)))

    assert kinds(ends) <= {"InDoubt", "Open", "Full"}
    assert FAILURES <= first <= FAILURES + SIZE - 1
    assert (kinds(again) <= {"InDoubt", "Open", "Full"}, second) == (True, 1)
    assert (kinds(healed), guarded.breaker.state) == ({"Response"}, State.CLOSED)


@pytest.mark.stack
async def test_other_service_is_reached_when_one_hangs(
    world: World, http: httpx.AsyncClient
) -> None:
    """Of twenty calls five hang and fifteen are refused at once; the board answers."""
    to_member, to_board = Bulkhead(SIZE), Bulkhead(SIZE)
    with world.member.database.connect(autocommit=False) as conn:
        conn.execute("LOCK TABLE registration IN ACCESS EXCLUSIVE MODE")
        hanging = [
            asyncio.create_task(to_member.call(asking(world, http))) for _ in range(4 * SIZE)
        ]
        await until(lambda: waiting(world.member) == SIZE, what="the calls to hang")
        refused = [task for task in hanging if task.done()]
        board = await to_board.call(lambda: call(http, "GET", f"{world.urls['board']}?ids=c-1"))
        conn.rollback()
    ends = await asyncio.gather(*hanging, return_exceptions=True)
    assert board.status_code == 200
    assert len(refused) == 3 * SIZE
    assert [type(end) for end in ends].count(Full) == 3 * SIZE
    assert (await to_member.call(asking(world, http))).status_code == 200


@pytest.mark.stack
async def test_retries_are_a_share_of_the_calls_when_all_calls_fail(
    world: World, http: httpx.AsyncClient
) -> None:
    """Twenty calls worth five attempts each: 100 by the policy alone, at most 24 with a budget."""
    saved, calls_per_retry, calls = 2, 10, 20

    async def count(way: Callable[[], Any]) -> int:
        before = world.to_member.faults
        for _ in range(calls):
            with pytest.raises(InDoubt):
                await way()
        return world.to_member.faults - before

    world.to_member.drop_replies(100_000)
    patient = retrying(QUICK)
    alone = await count(lambda: patient(asking(world, http)))
    budget = RetryBudget(calls_per_retry=calls_per_retry, saved=saved)
    thrifty = guard(Clock(), breaker=Breaker(failures=1000), budget=budget)
    counted = await count(lambda: thrifty.call(asking(world, http)))

    assert alone == calls * QUICK.attempts
    assert calls < counted <= calls + calls // calls_per_retry + saved


async def opened(remote: Remote, clock: Clock) -> Breaker:
    """A breaker that has seen enough."""
    breaker = Breaker(failures=FAILURES, pause=PAUSE, clock=clock)
    remote.fails = Retriable("503")
    for _ in range(FAILURES):
        with pytest.raises(Retriable):
            await breaker.call(remote.ask)
    assert (breaker.state, remote.calls) == (State.OPEN, FAILURES)
    return breaker


async def test_service_is_not_called_when_the_breaker_is_open() -> None:
    """Until the last moment of the pause."""
    remote, clock = Remote(), Clock()
    breaker = await opened(remote, clock)
    for later in (0, PAUSE - 0.001):
        clock.now = 1000 + later
        with pytest.raises(Open):
            await breaker.call(remote.ask)
    assert remote.calls == FAILURES


@pytest.mark.parametrize(
    ("fails", "state"), [(None, State.CLOSED), (InDoubt("no reply"), State.OPEN)]
)
async def test_one_call_decides_when_the_pause_is_over(
    fails: Exception | None, state: State
) -> None:
    """Ten clients come at once: one goes out, nine are refused, and all follow its end."""
    remote, clock = Remote(), Clock()
    breaker = await opened(remote, clock)
    clock.now += PAUSE
    remote.fails = fails
    remote.go.clear()
    clients = [asyncio.create_task(breaker.call(remote.ask)) for _ in range(CLIENTS)]
    await until(lambda: sum(map(asyncio.Task.done, clients)) == CLIENTS - 1, what="the refusals")
    assert (breaker.state, remote.calls) == (State.HALF_OPEN, FAILURES + 1)
    remote.go.set()
    ends = await asyncio.gather(*clients, return_exceptions=True)
    assert [type(end) for end in ends].count(Open) == CLIENTS - 1
    assert breaker.state is state


async def test_another_call_may_try_when_the_trial_was_cancelled() -> None:
    """It says nothing about the service: open again, not for ever."""
    remote, clock = Remote(), Clock()
    breaker = await opened(remote, clock)
    clock.now += PAUSE
    remote.fails = None
    remote.go.clear()
    trial = asyncio.create_task(breaker.call(remote.ask))
    await until(lambda: breaker.state is State.HALF_OPEN, what="the trial")
    trial.cancel()
    await asyncio.gather(trial, return_exceptions=True)
    assert breaker.state is State.OPEN
    clock.now += PAUSE
    remote.go.set()
    assert (await breaker.call(remote.ask), breaker.state) == ("answer", State.CLOSED)


async def test_late_answer_changes_nothing_when_its_call_began_before() -> None:
    """Neither does an old success close the breaker, nor an old failure open it."""
    remote, clock = Remote(), Clock()
    breaker = Breaker(failures=1, pause=PAUSE, clock=clock)

    async def begin(fails: Exception | None) -> asyncio.Task[str]:
        remote.fails, begun = fails, remote.calls
        task = asyncio.create_task(breaker.call(remote.ask))
        await until(lambda: remote.calls > begun, what="the call")
        return task

    remote.go.clear()
    late = [await begin(None), await begin(Retriable("503"))]
    now, remote.go = remote.go, asyncio.Event()
    remote.go.set()
    failing = await begin(Retriable("503"))
    with pytest.raises(Retriable):
        await failing
    now.set()
    await asyncio.gather(*late, return_exceptions=True)
    assert breaker.state is State.OPEN
    clock.now += PAUSE
    remote.fails = None
    assert (await breaker.call(remote.ask), breaker.state) == ("answer", State.CLOSED)


@pytest.mark.parametrize("harmless", [Rejected("a rule"), ValueError("a bug of ours")])
async def test_breaker_stays_closed_when_the_service_is_not_to_blame(harmless: Exception) -> None:
    """A service that says no is well; and what is no answer at all is not counted."""
    remote = Remote(fails=harmless)
    breaker = Breaker(failures=1)
    for _ in range(3):
        with pytest.raises(type(harmless)):
            await breaker.call(remote.ask)
    assert (breaker.state, remote.calls) == (State.CLOSED, 3)


async def test_failures_count_only_in_a_row() -> None:
    """A success in between begins the count anew."""
    remote, breaker = Remote(), Breaker(failures=2)
    for fails in (Retriable("503"), None, Retriable("503"), Rejected("a rule"), Retriable("503")):
        remote.fails = fails
        await asyncio.gather(breaker.call(remote.ask), return_exceptions=True)
    assert breaker.state is State.CLOSED


async def test_room_is_free_again_when_a_call_was_cancelled() -> None:
    """Whatever its end."""
    remote, bulkhead = Remote(), Bulkhead(1)
    remote.go.clear()
    hanging = asyncio.create_task(bulkhead.call(remote.ask))
    await until(lambda: remote.calls == 1, what="the call")
    with pytest.raises(Full):
        await bulkhead.call(remote.ask)
    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)
    remote.go.set()
    assert await bulkhead.call(remote.ask) == "answer"


def test_budget_saves_up_no_more_than_it_may() -> None:
    """A long good time does not pay for a storm."""
    budget = RetryBudget(calls_per_retry=10, saved=3)
    for _ in range(1000):
        budget.earn()
    assert [budget.spend() for _ in range(4)] == [True, True, True, False]
    for _ in range(10):
        assert not budget.spend()
        budget.earn()
    assert [budget.spend() for _ in range(2)] == [True, False]


async def test_reason_is_the_last_failure_when_the_guard_gives_up() -> None:
    """All errors of a guard are errors of calls: the caller knows what it may do."""
    remote = Remote(fails=Retriable("503"))
    with pytest.raises(CallError) as caught:
        await guard(Clock()).call(remote.ask)
    assert (caught.value.reason, remote.calls) == ("503", QUICK.attempts)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Breaker(failures=0),
        lambda: Breaker(pause=-1),
        lambda: Bulkhead(0),
        lambda: RetryBudget(calls_per_retry=0),
        lambda: RetryBudget(saved=0),
    ],
)
def test_values_that_let_nothing_through_are_refused(make: Callable[[], object]) -> None:
    """With what to do."""
    with pytest.raises(ValueError, match="or more"):
        make()
