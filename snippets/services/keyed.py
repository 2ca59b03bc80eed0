"""POST with an Idempotency-Key over HTTP: one intent, one effect, one reply.

Guarantees:
    What `idempotency` guarantees: a repeat gets the stored reply; 409 while the first is at work,
    422 for another content, 400 without a key.
    Work that was begun goes on when its client leaves or its request times out, and its reply is
    kept. Work without a final reply gives its key back, so that a repeat goes on at once.

Does not guarantee:
    That a key means the same for ever: after `keep` it is new. The course's id is made of the key,
    so that even then a repeat finds the course and makes no second one.

Assumes:
    Work ends within half the lease, and is cut off then: no late worker undoes what the next does.
    Keys are unguessable, such as UUIDs; a service with several callers scopes them by caller.

Proved by:
    E26 tests/snippets/test_course_service.py::test_repeat_gets_the_stored_reply
    E26 tests/snippets/test_course_service.py::test_course_is_not_doubled_when_a_clock_jumps

Source: IETF, draft-ietf-httpapi-idempotency-key-header; RFC 9651, 3.3.3 Strings.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Annotated
from uuid import uuid4

import msgspec
import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool
from starlette.requests import Request

from snippets import idempotency
from snippets.idempotency import Claim, InFlight, Reply, Reused, utc_now
from snippets.services.openapi import Parameter
from snippets.services.problems import Problem

HEADER = "Idempotency-Key"
# The draft writes it as a string in quotes; many clients leave them out.
Key = Annotated[
    str,
    msgspec.Meta(pattern=r'^("[A-Za-z0-9._:-]{1,128}"|[A-Za-z0-9._:-]{1,128})$(?!\n)'),
]
PARAMETER = Parameter(HEADER, Key, "header")
Finish = Callable[[AsyncConnection, Reply], Awaitable[None]]
Work = Callable[[Finish], Awaitable[Reply]]
log = logging.getLogger("service")


# --8<-- [start:key]
def key(request: Request) -> str:
    """The client's name for its intent.

    Raises:
        Problem: 400 when there is none, or none that can be kept.
    """
    try:
        return msgspec.convert(request.headers.get(HEADER), Key).strip('"')
    except msgspec.ValidationError:
        raise Problem(
            400, f"send {HEADER}: 1 to 128 letters, digits or ._:-", again="new key"
        ) from None
    # --8<-- [end:key]


class Keyed:
    """The keys of one operation, and the work that is under way.

    Args:
        pool: The service's own database.
        scope: Names the operation.
        lease: After this time another worker may take over; work is cut off at half of it.
        keep: After this time a key is new again.
        clock: The time, with its zone.
    """

    def __init__(
        self,
        pool: AsyncConnectionPool,
        scope: str,
        *,
        lease: timedelta = timedelta(seconds=30),
        keep: timedelta = timedelta(days=1),
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._pool = pool
        self._scope = scope
        self._lease = lease
        self._keep = keep
        self._clock = clock
        self._at_work: set[asyncio.Task[Reply]] = set()

    # --8<-- [start:answer]
    async def answer(self, key: str, asked: str, work: Work) -> Reply:
        """The stored reply, or what `work` replies; it calls `finish` in its last transaction.

        Args:
            key: The client's name for its intent.
            asked: The request's `fingerprint`.
            work: Has the effect.

        Raises:
            Problem: 409 while the first request is at work, 422 when the key has another content.
        """
        try:
            found = await self._claim(key, asked)
            return found if isinstance(found, Reply) else await self._begin(found, work)
        except InFlight as error:
            later = {"Retry-After": "1"}
            raise Problem(409, error.reason, headers=later, again="same key") from None
        except Reused as error:
            raise Problem(422, error.reason, again="new key") from None

    async def _claim(self, key: str, asked: str) -> Claim | Reply:
        mine = Claim(self._scope, key, uuid4())
        try:
            async with self._pool.connection() as conn:
                return await self._ask(conn, mine, asked)
        except (psycopg.OperationalError, asyncio.CancelledError):
            await self._give_back(mine)  # the commit may have gone through
            raise

    async def _ask(self, conn: AsyncConnection, mine: Claim, asked: str) -> Claim | Reply:
        return await idempotency.claim(
            conn,
            mine.scope,
            mine.key,
            asked,
            lease=self._lease,
            keep=self._keep,
            clock=self._clock,
            new_id=lambda: mine.owner,
        )

    async def _begin(self, mine: Claim, work: Work) -> Reply:
        """In a task of its own: who waits for it may leave."""
        task = asyncio.create_task(self._do(mine, work))
        self._at_work.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    async def _do(self, mine: Claim, work: Work) -> Reply:
        async def finish(conn: AsyncConnection, reply: Reply) -> None:
            await idempotency.finish(conn, mine, reply)

        try:
            async with asyncio.timeout(self._lease.total_seconds() / 2):
                return await work(finish)
        except BaseException:
            await self._give_back(mine)
            raise
            # --8<-- [end:answer]

    async def _give_back(self, mine: Claim) -> None:
        with suppress(psycopg.Error):  # else the lease ends it
            async with self._pool.connection() as conn:
                await idempotency.release(conn, mine)

    def _done(self, task: asyncio.Task[Reply]) -> None:
        self._at_work.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.warning("no reply: %s: %s", type(error).__name__, error)

    async def forget(self) -> None:
        """Delete the keys that have expired."""
        async with self._pool.connection() as conn:
            await idempotency.forget(conn, clock=self._clock)

    async def drain(self) -> None:
        """Wait until all work has come to its end."""
        while self._at_work:
            await asyncio.wait(self._at_work)
