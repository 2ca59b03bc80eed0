"""The board service (게시판) as a process: opens the board of a course."""

from __future__ import annotations

import asyncio

from starlette.applications import Starlette

from snippets.checkpoint import Checkpoint, nothing
from snippets.services import participant, web


def app(dsn: str, *, timeout: float = web.TIMEOUT) -> Starlette:
    """The application on its own database."""
    pool = web.database(dsn)
    return web.service(participant.operations("boards", pool), pool, name="board", timeout=timeout)


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
