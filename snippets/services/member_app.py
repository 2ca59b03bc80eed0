"""The member service (멤버) as a process: registers the manager (담당자) of a course."""

from __future__ import annotations

import asyncio

from psycopg import AsyncConnection
from starlette.applications import Starlette

from snippets.checkpoint import Checkpoint, nothing
from snippets.services import participant, web

ON_LEAVE = "SELECT EXISTS (SELECT FROM on_leave WHERE name = %s)"


async def at_work(conn: AsyncConnection, name: str) -> str | None:
    """The business rule: who is on leave takes no course."""
    row = await (await conn.execute(ON_LEAVE, (name,))).fetchone()
    return f"{name} is on leave" if row == (True,) else None


def app(dsn: str, *, timeout: float = web.TIMEOUT) -> Starlette:
    """The application on its own database."""
    pool = web.database(dsn)
    return web.service(
        participant.operations("managers", pool, at_work), pool, name="member", timeout=timeout
    )


async def main(
    dsn: str,
    port: int,
    *,
    limit: float = web.TIMEOUT,
    stop: asyncio.Event | None = None,
    at: Checkpoint = nothing,
) -> None:
    """The process: serve on 127.0.0.1 until `stop`; a request has `limit` seconds."""
    await web.run(app(dsn, timeout=limit), port, stop=stop, at=at)
