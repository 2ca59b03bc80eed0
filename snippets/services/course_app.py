"""The course service (과정) as a process: creates courses in any style, and shows them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal
from uuid import UUID, uuid5

import msgspec
from psycopg import AsyncConnection
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from snippets.checkpoint import Checkpoint, nothing
from snippets.course_creation import Status, UnknownCreation
from snippets.errors import Rejected
from snippets.idempotency import Reply, fingerprint, utc_now
from snippets.retry import Policy
from snippets.services import catalogue, creating, keyed, web
from snippets.services.catalogue import Course
from snippets.services.course_api import Courses, NewCourse, refusal, response, success
from snippets.services.creating import STYLES, Style, Unfinished
from snippets.services.keyed import Finish, Keyed
from snippets.services.means import Means, means
from snippets.services.openapi import COURSE_ID, Operation, Parameter
from snippets.services.overview import Directory, Overviews, compose
from snippets.services.problems import Ids, Problem, body, course_id, wanted_ids

COURSES = UUID("5a0ad4ef-7f6e-4bcb-9c0e-5f2a7f0a3c55")
"""Courses' ids are made of it and the intent's key: who repeats a creation repeats its id."""
ALL, ONE = "/courses", "/courses/{course_id}"
SOON = 0.1
"""Seconds after which a second look is taken at what was left."""
log = logging.getLogger("service")


@dataclass(frozen=True)
class Settings:
    """How the service is run.

    Attributes:
        member: URL of the managers (담당자).
        board: URL of the boards (게시판).
        topic: Where it speaks, for creations by events.
        attempts: How often each call is made.
        limit: Seconds in which a request is answered.
        lease: Seconds after which another worker may take a creation over.
        fresh: Seconds for which names of other services may be served again.
        skew: Seconds by which the clock is wrong.
    """

    member: str
    board: str
    topic: str = "course"
    attempts: int = Policy.attempts
    limit: float = web.TIMEOUT
    lease: float = 30.0
    fresh: float = 5.0
    skew: float = 0.0


class CourseService:
    """What the operations do, and what runs beside them."""

    def __init__(self, dsn: str, settings: Settings, *, at: Checkpoint = nothing) -> None:
        self._dsn, self._settings, self._at = dsn, settings, at
        self._lease = timedelta(seconds=settings.lease)
        self.pool = web.database(dsn)
        self._keyed = Keyed(self.pool, "create-course", lease=self._lease, clock=self._clock)
        self._means: Means
        self._member: Directory
        self._board: Directory

    def operations(self) -> list[Operation]:
        """What the service does."""
        cached = Parameter("cached", Literal["true", "false"], required=False)
        ids, one, key = Parameter("ids", Ids), (COURSE_ID,), (keyed.PARAMETER,)
        new, made = NewCourse, {201: Course, 202: Course}
        again, create, show = f"{ONE}/creation", self._create, self._overviews
        return [
            Operation("create", "POST", ALL, create, made, key, (409, 424, 502), new),
            Operation("find_many", "GET", ALL, self._batch, {200: Courses}, (ids,)),
            Operation("find", "GET", ONE, self._find, {200: Course}, one, (404,)),
            Operation("creation", "GET", again, self._creation, {200: Status}, one, (404,)),
            Operation("overviews", "GET", "/overviews", show, {200: Overviews}, (ids, cached)),
        ]

    # --8<-- [start:create]
    async def _create(self, request: Request) -> Response:
        intent = keyed.key(request)
        wanted = await body(request, NewCourse)
        course = Course(str(uuid5(COURSES, intent)), wanted.title, wanted.manager, wanted.term)
        asked = fingerprint("POST", "/courses", msgspec.json.encode(wanted))
        work = partial(self._work, STYLES[wanted.style], course)
        return response(await self._keyed.answer(intent, asked, work), course.id)

    async def _work(self, style: Style, course: Course, finish: Finish) -> Reply:
        """The course and its reply in one transaction; or the reply that says why there is none."""

        async def keep(conn: AsyncConnection, made: Course) -> None:
            await finish(conn, success(made))

        try:
            return success(await style(self._means, course, keep=keep))
        except Rejected as error:
            reply = refusal(error)
        except Unfinished as error:
            raise Problem(502, error.reason, again="same key") from error
        async with self.pool.connection() as conn:
            await finish(conn, reply)
        return reply
        # --8<-- [end:create]

    async def _find(self, request: Request) -> Response:
        course = course_id(request)
        found = await self._found([course])
        if course not in found:
            raise Problem(404, f"there is no course {course}")
        return web.reply(found[course])

    async def _batch(self, request: Request) -> Response:
        ids = wanted_ids(request)
        found = await self._found(ids)
        rows = [found[one] for one in ids if one in found]
        return web.reply(Courses(rows, [one for one in ids if one not in found]))

    async def _creation(self, request: Request) -> Response:
        async with self.pool.connection() as conn:
            try:
                status = await self._means.creation.status(conn, course_id(request))
            except UnknownCreation as error:
                raise Problem(404, error.reason) from None
        return web.reply(status)

    async def _overviews(self, request: Request) -> Response:
        ids = wanted_ids(request)
        cached = request.query_params.get("cached", "false")
        if cached not in {"true", "false"}:
            raise Problem(400, "cached is true or false")
        found = await self._found(ids)
        names = self._member, self._board
        return web.reply(await compose(ids, found, *names, cached=cached == "true"))

    async def _found(self, ids: Sequence[str]) -> dict[str, Course]:
        async with self.pool.connection() as conn:
            return await catalogue.find(conn, ids)

    # --8<-- [start:beside]
    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """What runs as long as the service: ends what a dead process, or a lost line, has left."""
        settings = self._settings
        policy = Policy(attempts=settings.attempts)
        parts = self._dsn, self.pool, settings.member, settings.board
        async with means(*parts, topic=settings.topic, policy=policy, at=self._at) as made:
            self._means = made
            self._member = Directory(made.member, ttl=settings.fresh)
            self._board = Directory(made.board, ttl=settings.fresh)
            tidying = asyncio.create_task(self._tidy())
            try:
                yield
                await self._keyed.drain()
            finally:
                tidying.cancel()
                await asyncio.gather(tidying, return_exceptions=True)

    async def _tidy(self) -> None:
        """Often after the start and when something was left, for the dead hold their locks a while.

        Then less and less often, down to once a lease.
        """
        left, wait = self._means.sagas.left, SOON
        while True:
            try:
                await self._means.sagas.resume()
                await creating.recover(self._means, older_than=self._lease)
                await self._keyed.forget()
            except Exception as error:  # whatever it is: the next round is soon
                log.warning("tidying: %s: %s", type(error).__name__, error)
            try:
                await asyncio.wait_for(left.wait(), wait)
                wait = SOON
            except TimeoutError:
                wait = min(2 * wait, self._settings.lease)
            left.clear()
            # --8<-- [end:beside]

    def _clock(self) -> datetime:
        return utc_now() + timedelta(seconds=self._settings.skew)


def app(dsn: str, settings: Settings, *, at: Checkpoint = nothing) -> Starlette:
    """The application on its own database."""
    made = CourseService(dsn, settings, at=at)
    beside, limit = made.running, settings.limit
    return web.service(made.operations(), made.pool, name="course", timeout=limit, beside=beside)


async def main(
    dsn: str,
    port: int,
    settings: dict[str, Any],
    *,
    stop: asyncio.Event | None = None,
    at: Checkpoint = nothing,
) -> None:
    """The process: serve on 127.0.0.1 until `stop`; `settings` as in `Settings`."""
    await web.run(app(dsn, Settings(**settings), at=at), port, stop=stop, at=at)


async def resume_stuck(dsn: str, settings: dict[str, Any]) -> dict[str, str]:
    """What people run when they have removed the cause: ends the sagas in `manual_queue`, by id."""
    wanted = Settings(**settings)
    async with (
        web.database(dsn) as pool,
        means(dsn, pool, wanted.member, wanted.board, policy=Policy(wanted.attempts)) as made,
    ):
        ended = await made.sagas.resume(stuck=True)
    return {str(saga_id): outcome.value for saga_id, outcome in ended.items()}
