"""Calls to many: all at once with one deadline, or one request for many rows.

Guarantees:
    `fan_out` has all calls under way together, and ends them together: with all answers, with the
    first failure, or at the deadline. No call outlives it.
    `names` asks for many rows in as few requests as the other service's limits allow; each id is
    either found or reported as missing.

Does not guarantee:
    Speed: the slowest of n calls decides, and the share of slow requests grows with n
    (`slow_share`). A hedged call, a second one when the first is late, cuts that tail for
    idempotent reads and costs load; it is not built here.
    That the other service can take it: its connection pool does the work of five at a time
    (`web.database`), and only a `Bulkhead` bounds what we send.

Assumes:
    The calls are reads or idempotent: one that was cut off may have done its work.

Proved by:
    E1 tests/snippets/test_calls.py::test_all_calls_are_under_way_at_once_when_they_fan_out
    E1 tests/snippets/test_calls.py::test_slow_share_grows_with_the_number_of_calls
    E2 tests/snippets/test_calls.py::test_one_request_is_made_when_twenty_rows_are_asked_for
    E2 tests/snippets/test_calls.py::test_three_requests_are_made_when_250_rows_are_asked_for

Source: Dean and Barroso, The Tail at Scale (CACM 56, 2013); Python, asyncio, Task Groups;
RFC 9110, 4.1 (length of URIs).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote_plus

import httpx
import msgspec

from snippets.checkpoint import Checkpoint, nothing
from snippets.contracts import read
from snippets.errors import InDoubt
from snippets.services.gateways import call

MAX_IDS = 100
"""Ids that the other service takes in one request."""
LONGEST = 4000
"""Characters of ids in one URL: RFC 9110 asks everybody to take URLs of 8,000."""

K = TypeVar("K")
T = TypeVar("T")


class DeadlinePassed(InDoubt):
    """Not all answers came in time; what was under way was cut off."""


def slow_share(slow: float, calls: int) -> float:
    """The share of requests that wait for a slow call, when each makes `calls` calls at once.

    Args:
        slow: The share of single calls that are slow, from 0 to 1.
        calls: Calls in one request.
    """
    return float(1 - (1 - slow) ** calls)


# --8<-- [start:fan_out]
async def fan_out(
    ask: Callable[[K], Awaitable[T]],
    keys: Sequence[K],
    *,
    deadline: float,
    at: Checkpoint = nothing,
) -> list[T]:
    """Ask for all keys at once; the answers in the order of the keys.

    Args:
        ask: One call.
        keys: What it is called with.
        deadline: Seconds for all of them together.
        at: Passes `calls.begun` and `calls.ended` for each call.

    Raises:
        DeadlinePassed: after `deadline` seconds.
        Exception: what the first failed call raised; the others were cancelled.
        ValueError: `deadline` is not above 0.
    """
    check_deadline(deadline)

    async def one(key: K) -> T:
        at("calls.begun")
        try:
            return await ask(key)
        finally:
            at("calls.ended")

    try:
        async with asyncio.timeout(deadline), asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(key)) for key in keys]
    except TimeoutError as error:
        raise DeadlinePassed(f"{len(keys)} calls were not done in {deadline:g} s") from error
    except ExceptionGroup as failed:
        first = failed.exceptions[0]
        raise first from first.__cause__
    return [task.result() for task in tasks]
    # --8<-- [end:fan_out]


class Row(msgspec.Struct, frozen=True):
    """What we need of a row; whatever else it has is not our business."""

    course_id: str
    name: str


class Page(msgspec.Struct, frozen=True):
    """What we need of the reply to a batch request."""

    rows: list[Row]


@dataclass(frozen=True)
class Found:
    """Names by course id, in the order asked, and the ids that nothing is kept for."""

    rows: dict[str, str]
    missing: list[str]


# --8<-- [start:names]
async def names(
    http: httpx.AsyncClient,
    url: str,
    ids: Sequence[str],
    *,
    deadline: float = 2.0,
    at: Checkpoint = nothing,
) -> Found:
    """The names that a service such as member keeps for these courses, in batches.

    Args:
        http: See `gateways.client`.
        url: Where its rows are, such as http://127.0.0.1:8001/managers.
        ids: Courses; a repeated one is asked for once.
        deadline: Seconds for all requests together.
        at: Passes `calls.begun` and `calls.ended` for each request.

    Raises:
        CallError: see `gateways.call`, `fan_out` and `contracts.read`.
        ValueError: an id is empty or has a comma.
    """

    async def ask(batch: Sequence[str]) -> list[Row]:
        reply = await call(http, "GET", url, params={"ids": ",".join(batch)})
        return read(reply.content, Page).rows

    wanted = list(dict.fromkeys(ids))
    pages = await fan_out(ask, batches(wanted), deadline=deadline, at=at)
    kept = {row.course_id: row.name for page in pages for row in page}
    return found(wanted, kept)
    # --8<-- [end:names]


# --8<-- [start:batches]
def batches(
    ids: Sequence[str], *, most: int = MAX_IDS, longest: int = LONGEST
) -> list[Sequence[str]]:
    """`ids` in pieces that one request can carry.

    Args:
        ids: In order.
        most: Ids in one piece.
        longest: Characters of one piece as it stands in the URL, unless it is a single id.

    Raises:
        ValueError: an id is empty or has a comma.
    """
    if wrong := [one for one in ids if not one or "," in one]:
        raise ValueError(f"{wrong[0]!r} is no id: it must not be empty or have a comma")
    pieces: list[list[str]] = []
    for one in ids:
        last = pieces[-1] if pieces else []
        if not last or len(last) == most or len(quote_plus(",".join([*last, one]))) > longest:
            pieces.append([])
        pieces[-1].append(one)
    return list(pieces)
    # --8<-- [end:batches]


def found(wanted: Sequence[str], kept: dict[str, str]) -> Found:
    """What is kept of what was wanted, and what is missing."""
    rows = {one: kept[one] for one in wanted if one in kept}
    return Found(rows, missing=[one for one in wanted if one not in kept])


def check_deadline(deadline: float) -> None:
    """Refuse a deadline that no call can meet."""
    if not deadline > 0:
        raise ValueError(f"a deadline of {deadline:g} s: give seconds above 0")
