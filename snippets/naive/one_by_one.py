"""Breaks the response time: each call waits for the one before, and each row costs a request.

The right way: `snippets.calls`.

Proved by:
    E1 tests/snippets/test_calls.py::test_one_call_is_under_way_when_they_go_one_by_one
    E2 tests/snippets/test_calls.py::test_twenty_requests_are_made_when_rows_are_asked_one_by_one
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import httpx

from snippets.calls import DeadlinePassed, Found, Row, check_deadline, found
from snippets.checkpoint import Checkpoint, nothing
from snippets.contracts import read
from snippets.errors import Rejected
from snippets.services.gateways import call

K = TypeVar("K")
T = TypeVar("T")


# --8<-- [start:fan_out]
async def fan_out(
    ask: Callable[[K], Awaitable[T]],
    keys: Sequence[K],
    *,
    deadline: float,
    at: Checkpoint = nothing,
) -> list[T]:
    """Ask for one key after the other; the times add up."""
    check_deadline(deadline)
    answers = []
    try:
        async with asyncio.timeout(deadline):
            for key in keys:
                at("calls.begun")
                answers.append(await ask(key))
                at("calls.ended")
    except TimeoutError as error:
        raise DeadlinePassed(f"{len(keys)} calls were not done in {deadline:g} s") from error
    return answers
    # --8<-- [end:fan_out]


# --8<-- [start:names]
async def names(
    http: httpx.AsyncClient,
    url: str,
    ids: Sequence[str],
    *,
    deadline: float = 2.0,
    at: Checkpoint = nothing,
) -> Found:
    """N + 1: one request gave the ids, and now each of them costs another."""

    async def ask(one: str) -> list[Row]:
        try:
            reply = await call(http, "GET", f"{url}/{one}")
        except Rejected:  # 404
            return []
        return [read(reply.content, Row)]

    wanted = list(dict.fromkeys(ids))
    pages = await fan_out(ask, wanted, deadline=deadline, at=at)
    kept = {row.course_id: row.name for page in pages for row in page}
    return found(wanted, kept)
    # --8<-- [end:names]
