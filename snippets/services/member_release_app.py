"""The member service (멤버) in three releases: as it was, with a field more, with a field less.

They run side by side, below /first, /adds and /removes, on the same rows as `member_app`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from snippets.checkpoint import Checkpoint, nothing
from snippets.services import registry, web
from snippets.services.participant import course_id

# --8<-- [start:releases]
RELEASES: dict[str, Callable[[str, str], dict[str, str]]] = {
    "first": lambda course, name: {"course_id": course, "name": name},
    "adds": lambda course, name: {"course_id": course, "name": name, "role": "담당자"},
    "removes": lambda course, name: {"course_id": course, "full_name": name},
}
# --8<-- [end:releases]


def app(dsn: str) -> Starlette:
    """The application on its own database."""
    pool = web.database(dsn)

    async def get(request: Request) -> Response:
        course, release = course_id(request), request.path_params["release"]
        if release not in RELEASES:
            raise HTTPException(404, f"there is no release {release}")
        async with pool.connection() as conn:
            found = await registry.find(conn, [course])
        if course not in found:
            raise HTTPException(404, f"nothing is kept for course {course}")
        return JSONResponse(RELEASES[release](course, found[course]))

    routes = [Route("/{release}/managers/{course_id}", get)]
    return web.service(routes, pool, name="member")


async def main(
    dsn: str, port: int, *, stop: asyncio.Event | None = None, at: Checkpoint = nothing
) -> None:
    """The process: serve on 127.0.0.1 until `stop`."""
    await web.run(app(dsn), port, stop=stop, at=at)
