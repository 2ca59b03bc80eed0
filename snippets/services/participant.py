"""The HTTP side of `registry`: the same four operations for member (담당자) and board (게시판).

PUT and DELETE by the course's id, so that a caller who got no reply can simply call again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool
from starlette.requests import Request
from starlette.responses import Response

from snippets.services import registry, web
from snippets.services.openapi import COURSE_ID, Operation, Parameter
from snippets.services.problems import Id, Ids, Name, Problem, body, wanted_ids
from snippets.services.problems import course_id as course_id
from snippets.services.registry import Registered

Rule = Callable[[AsyncConnection, str], Awaitable[str | None]]
"""Why the business refuses a name; None when it does not."""


class Registration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a caller sends."""

    name: Name


@dataclass(frozen=True)
class Row:
    """What is kept of a course."""

    course_id: Id
    name: Name


@dataclass(frozen=True)
class Rows:
    """Of many courses: what is kept, in the order asked, and what nothing is kept of."""

    rows: list[Row]
    missing: list[Id]


async def everybody(_: AsyncConnection, __: str) -> str | None:
    """No rule."""
    return None


# --8<-- [start:operations]
def operations(path: str, pool: AsyncConnectionPool, rule: Rule = everybody) -> list[Operation]:
    """PUT, GET and DELETE of one course's row, and GET of many."""

    async def put(request: Request) -> Response:
        course, wanted = course_id(request), await body(request, Registration)
        async with pool.connection() as conn:
            found = await register(conn, course, wanted.name, rule)
        if found is Registered.CANCELLED:
            raise Problem(410, f"course {course} was cancelled")
        if found is Registered.OTHER:
            raise Problem(409, f"course {course} has another name here")
        return web.reply(Row(course, wanted.name), 201 if found is Registered.NEW else 200)

    async def delete(request: Request) -> Response:
        async with pool.connection() as conn:
            await registry.cancel(conn, course_id(request))
        return Response(status_code=204)
        # --8<-- [end:operations]

    async def get(request: Request) -> Response:
        course = course_id(request)
        async with pool.connection() as conn:
            found = await registry.find(conn, [course])
        if course not in found:
            raise Problem(404, f"nothing is kept for course {course}")
        return web.reply(Row(course, found[course]))

    async def batch(request: Request) -> Response:
        wanted = wanted_ids(request)
        async with pool.connection() as conn:
            found = await registry.find(conn, wanted)
        rows = [Row(one, found[one]) for one in wanted if one in found]
        return web.reply(Rows(rows, [one for one in wanted if one not in found]))

    row, ids, course = f"/{path}/{{course_id}}", (Parameter("ids", Ids),), (COURSE_ID,)
    kept = {200: Row, 201: Row}
    return [
        Operation("find_many", "GET", f"/{path}", batch, {200: Rows}, ids),
        Operation("register", "PUT", row, put, kept, course, (409, 410), Registration),
        Operation("find", "GET", row, get, {200: Row}, course, (404,)),
        Operation("cancel", "DELETE", row, delete, {204: None}, course),
    ]


# --8<-- [start:register]
async def register(
    conn: AsyncConnection, course: str, name: str, rule: Rule = everybody
) -> Registered:
    """Keep `name` for the course, in the caller's transaction, unless the business refuses.

    What was accepted once is not judged again: a repeat must have the reply of the first.

    Raises:
        Problem: 422 when the business refuses.
    """
    found = await registry.register(conn, course, name)
    if found is Registered.NEW and (refusal := await rule(conn, name)):
        raise Problem(422, refusal)  # rolls back
    return found
    # --8<-- [end:register]
