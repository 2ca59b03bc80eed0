"""Retry: what is repeated, how often, and with which pauses."""

from __future__ import annotations

import random
import threading

import psycopg
import pytest
from psycopg import errors

from handbook.lab import Workspace
from snippets.errors import CallError, InDoubt, Rejected, Retriable
from snippets.retry import Policy, retrying, retrying_sync


class Remote:
    """Fails as often as it is told, then answers."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.calls = 0

    async def call(self) -> str:
        """Counts itself."""
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return "done"


class Pauses(list[float]):
    """A clock that keeps what it was asked to wait."""

    async def sleep(self, seconds: float) -> None:
        """Return at once."""
        self.append(seconds)


@pytest.mark.parametrize(
    "failure", [Retriable("503"), InDoubt("no reply"), errors.SerializationFailure()]
)
async def test_call_is_repeated_when_it_may_succeed(failure: Exception) -> None:
    """A refused call, a lost reply and a lost race are tried again."""
    remote, pauses = Remote(failure, failure), Pauses()
    assert await retrying(sleep=pauses.sleep)(remote.call) == "done"
    assert (remote.calls, len(pauses)) == (3, 2)


@pytest.mark.parametrize("failure", [Rejected("rule"), ValueError(), errors.UniqueViolation()])
async def test_call_is_not_repeated_when_it_cannot_succeed(failure: Exception) -> None:
    """A business rule, a bug and a constraint go to the caller at once."""
    remote, pauses = Remote(failure), Pauses()
    with pytest.raises(type(failure)):
        await retrying(sleep=pauses.sleep)(remote.call)
    assert (remote.calls, pauses) == (1, [])


async def test_last_error_is_raised_when_the_attempts_are_used_up() -> None:
    """The bound holds, and the caller learns the reason."""
    remote, pauses = Remote(*(Retriable(str(n)) for n in range(9))), Pauses()
    with pytest.raises(CallError) as caught:
        await retrying(Policy(attempts=4), sleep=pauses.sleep)(remote.call)
    assert (remote.calls, caught.value.reason) == (4, "3")


async def test_pauses_grow_and_differ_between_callers_when_calls_fail() -> None:
    """Each pause lies below its doubled bound; two callers do not come back together."""
    policy = Policy(attempts=6, first=1, longest=4)
    waited = []
    for seed in (1, 2):
        pauses = Pauses()
        remote = Remote(*[Retriable("busy")] * 5)
        await retrying(policy, sleep=pauses.sleep, rng=random.Random(seed))(remote.call)
        waited.append(pauses)
    bounds = [1, 2, 4, 4, 4]
    for pauses in waited:
        assert all(0 <= pause <= bound for pause, bound in zip(pauses, bounds, strict=True))
    assert waited[0] != waited[1]


@pytest.mark.stack
def test_call_is_repeated_when_its_transaction_lost_a_race(workspace: Workspace) -> None:
    """Two serializable increments meet: one gets 40001, both arrive."""
    workspace.execute("CREATE TABLE seat (id int PRIMARY KEY, taken int NOT NULL)")
    workspace.execute("INSERT INTO seat VALUES (1, 0)")
    meet, seen = threading.Barrier(2), []

    def take() -> None:
        with workspace.connect() as conn:
            first = threading.current_thread() not in seen
            seen.append(threading.current_thread())
            with conn.transaction():
                conn.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
                row = conn.execute("SELECT taken FROM seat WHERE id = 1").fetchone()
                assert row is not None
                if first:
                    meet.wait(10)
                conn.execute("UPDATE seat SET taken = %s WHERE id = 1", (row[0] + 1,))

    failed: list[BaseException] = []

    def work() -> None:
        try:
            retrying_sync()(take)
        except psycopg.Error as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert failed == []
    assert workspace.value("SELECT taken FROM seat") == 2
    assert len(seen) == 3
