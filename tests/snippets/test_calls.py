"""E1, E2: calls at once, batches instead of N + 1, counted in the log of the service; the twins."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol
from urllib.parse import quote_plus

import httpx
import pytest
from counting import Caller, waiting
from running import Service

from handbook.lab import until
from snippets import calls
from snippets.calls import DeadlinePassed, Found, batches, slow_share
from snippets.errors import Rejected
from snippets.naive import one_by_one
from snippets.services.gateways import call

POOL = 5  # connections of the member service
MANY = 20


class Both(Protocol):
    """What `calls` and its naive twin are."""

    fan_out: Any
    names: Any


@pytest.fixture
def caller(http: httpx.AsyncClient) -> Caller:
    """Counted."""
    return Caller(http)


class Watched:
    """Calls of one service that stand still as long as its table is locked."""

    def __init__(self, member: Service, http: httpx.AsyncClient) -> None:
        self.member, self.http = member, http
        self.points: list[str] = []

    async def ask(self, path: str) -> int:
        """One call."""
        return (await call(self.http, "GET", f"{self.member.url}/managers/{path}")).status_code

    def start(self, way: Both, paths: Sequence[str], deadline: float = 20) -> asyncio.Task[Any]:
        """All of them."""
        going = way.fan_out(self.ask, paths, deadline=deadline, at=self.points.append)
        return asyncio.create_task(going)


@contextmanager
def locked(member: Service) -> Iterator[None]:
    """Nobody reads the table."""
    with member.database.connect(autocommit=False) as conn:
        conn.execute("LOCK TABLE registration IN ACCESS EXCLUSIVE MODE")
        yield
        conn.rollback()


def fill(member: Service, count: int) -> list[str]:
    """Courses that the service keeps; their ids."""
    member.database.execute(
        "INSERT INTO registration (course_id, name)"
        " SELECT 'c-' || n, '담당자 ' || n FROM generate_series(0, %s) n",
        [count - 1],
    )
    return [f"c-{n}" for n in range(count)]


@pytest.fixture
def watched(member: Service, http: httpx.AsyncClient) -> Watched:
    """On a service that keeps twenty courses."""
    fill(member, MANY)
    return Watched(member, http)


@pytest.mark.stack
async def test_all_calls_are_under_way_at_once_when_they_fan_out(watched: Watched) -> None:
    """Twenty have begun and none has ended; at the database they fill the service's pool."""
    with locked(watched.member):
        going = watched.start(calls, [f"c-{n}" for n in range(MANY)])
        await until(lambda: waiting(watched.member) == POOL, what="the pool to be full")
        assert watched.points == ["calls.begun"] * MANY
    assert await going == [200] * MANY
    assert watched.points == ["calls.begun"] * MANY + ["calls.ended"] * MANY


@pytest.mark.stack
async def test_one_call_is_under_way_when_they_go_one_by_one(watched: Watched) -> None:
    """The naive twin: the second call begins when the first has ended."""
    with locked(watched.member):
        going = watched.start(one_by_one, [f"c-{n}" for n in range(MANY)])
        await until(lambda: waiting(watched.member) == 1, what="the first call to wait")
        assert watched.points == ["calls.begun"]
    assert await going == [200] * MANY
    assert watched.points == ["calls.begun", "calls.ended"] * MANY


@pytest.mark.stack
async def test_no_call_outlives_the_deadline_when_the_service_hangs(watched: Watched) -> None:
    """One deadline for all: what is under way is cut off."""
    with locked(watched.member):
        with pytest.raises(DeadlinePassed):
            await watched.start(calls, [f"c-{n}" for n in range(MANY)], deadline=0.2)
        assert watched.points == ["calls.begun"] * MANY + ["calls.ended"] * MANY


@pytest.mark.stack
async def test_all_calls_end_when_one_is_refused(watched: Watched) -> None:
    """The first failure is raised as it is, and the others do not go on."""
    with locked(watched.member):
        with pytest.raises(Rejected) as caught:
            await watched.start(calls, ["c-1", "c-2", "no%20id", "c-3"])
        assert sorted(watched.points) == ["calls.begun"] * 4 + ["calls.ended"] * 4
    assert "400" in caught.value.reason


def test_slow_share_grows_with_the_number_of_calls() -> None:
    """1 % of slow calls: 18 % of requests with 20 calls are slow, 63 % of those with 100."""
    shares = {n: round(slow_share(0.01, n), 3) for n in (0, 1, 20, 100)}
    assert shares == {0: 0.0, 1: 0.01, 20: 0.182, 100: 0.634}


async def ask_names(
    way: Both, member: Service, caller: Caller, ids: Sequence[str]
) -> tuple[Found, int]:
    """The answer, and what it cost."""
    found = await way.names(caller.http, f"{member.url}/managers", ids, deadline=20)
    return found, await caller.requests(member)


@pytest.mark.stack
async def test_one_request_is_made_when_twenty_rows_are_asked_for(
    member: Service, caller: Caller
) -> None:
    """And what is missing is named."""
    ids = fill(member, MANY - 1)
    found, cost = await ask_names(calls, member, caller, [*ids, "c-gone"])
    assert found == Found({one: f"담당자 {one[2:]}" for one in ids}, missing=["c-gone"])
    assert cost == 1


@pytest.mark.stack
async def test_twenty_requests_are_made_when_rows_are_asked_one_by_one(
    member: Service, caller: Caller
) -> None:
    """The naive twin brings the same, for twenty times the requests."""
    ids = fill(member, MANY - 1)
    found, cost = await ask_names(one_by_one, member, caller, [*ids, "c-gone"])
    assert found == Found({one: f"담당자 {one[2:]}" for one in ids}, missing=["c-gone"])
    assert cost == MANY


@pytest.mark.stack
async def test_three_requests_are_made_when_250_rows_are_asked_for(
    member: Service, caller: Caller
) -> None:
    """A request takes a hundred ids; a repeated id is asked for once."""
    ids = fill(member, 250)
    found, cost = await ask_names(calls, member, caller, [*ids, *ids])
    assert (list(found.rows), found.missing, cost) == (ids, [], 3)


@pytest.mark.stack
async def test_long_ids_are_split_when_the_url_would_be_too_long(
    member: Service, caller: Caller
) -> None:
    """A hundred ids of 64 characters do not fit into one URL; the service takes every piece."""
    ids = [f"{n:064}" for n in range(100)]
    pieces = batches(ids)
    found, cost = await ask_names(calls, member, caller, ids)
    assert [one for piece in pieces for one in piece] == ids
    assert max(len(quote_plus(",".join(piece))) for piece in pieces) <= calls.LONGEST
    assert (found, cost) == (Found({}, missing=ids), len(pieces))
    assert cost == 2


def test_ids_are_split_by_number_and_by_length() -> None:
    """One id that is too long goes alone: the service says what it thinks of it."""
    assert batches([]) == []
    assert batches(["a", "b", "c"], most=2) == [["a", "b"], ["c"]]
    assert batches(["a", "b", "c" * 9, "d"], longest=5) == [["a", "b"], ["c" * 9], ["d"]]


@pytest.mark.parametrize("wrong", ["", "a,b", ","])
async def test_id_is_refused_when_it_would_be_read_as_others(
    http: httpx.AsyncClient, wrong: str
) -> None:
    """A comma separates ids; nothing is sent."""
    with pytest.raises(ValueError, match="is no id"):
        await calls.names(http, "http://127.0.0.1:9/managers", ["c-1", wrong])


@pytest.mark.parametrize("way", [calls, one_by_one])
@pytest.mark.parametrize("deadline", [0, -1, float("nan")])
async def test_deadline_is_refused_when_no_call_can_meet_it(way: Both, deadline: float) -> None:
    """Seconds above 0."""
    with pytest.raises(ValueError, match="give seconds above 0"):
        await way.fan_out(asyncio.sleep, [0], deadline=deadline)
