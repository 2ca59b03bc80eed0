"""The HTTP side of `registry`: the same four routes for member (담당자) and board (게시판).

PUT and DELETE by the course's id, so that a caller who got no reply can simply call again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

import msgspec
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from snippets.services import registry, web
from snippets.services.registry import Registered

CourseId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]
Rule = Callable[[AsyncConnection, str], Awaitable[str | None]]
"""Why the business refuses a name; None when it does not."""


class Registration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a caller sends."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


async def everybody(_: AsyncConnection, __: str) -> str | None:
    """No rule."""
    return None


def course_id(request: Request) -> str:
    """The id in the path.

    Raises:
        Problem: 400 when it can be no course's id.
    """
    try:
        return msgspec.convert(request.path_params["course_id"], CourseId)
    except msgspec.ValidationError as error:
        raise web.Problem(400, f"no course id: {error}") from None


# --8<-- [start:routes]
def routes(path: str, pool: AsyncConnectionPool, rule: Rule = everybody) -> list[Route]:
    """PUT, GET and DELETE of one course's row, and GET of many."""

    async def put(request: Request) -> Response:
        course, wanted = course_id(request), await web.body(request, Registration)
        async with pool.connection() as conn:
            if refusal := await rule(conn, wanted.name):
                raise web.Problem(422, refusal)
            found = await registry.register(conn, course, wanted.name)
        if found is Registered.CANCELLED:
            raise web.Problem(410, f"course {course} was cancelled")
        if found is Registered.OTHER:
            raise web.Problem(409, f"course {course} has another name here")
        body = {"course_id": course, "name": wanted.name}
        return JSONResponse(body, 201 if found is Registered.NEW else 200)

    async def delete(request: Request) -> Response:
        async with pool.connection() as conn:
            await registry.cancel(conn, course_id(request))
        return Response(status_code=204)
        # --8<-- [end:routes]

    async def get(request: Request) -> Response:
        course = course_id(request)
        async with pool.connection() as conn:
            found = await registry.find(conn, [course])
        if course not in found:
            raise web.Problem(404, f"nothing is kept for course {course}")
        return JSONResponse({"course_id": course, "name": found[course]})

    async def batch(request: Request) -> Response:
        wanted = web.wanted_ids(request)
        async with pool.connection() as conn:
            found = await registry.find(conn, wanted)
        rows = [{"course_id": one, "name": found[one]} for one in wanted if one in found]
        return JSONResponse({"rows": rows, "missing": [one for one in wanted if one not in found]})

    row = f"/{path}/{{course_id}}"
    return [
        Route(f"/{path}", batch, methods=["GET"]),
        Route(row, put, methods=["PUT"]),
        Route(row, get, methods=["GET"]),
        Route(row, delete, methods=["DELETE"]),
    ]
