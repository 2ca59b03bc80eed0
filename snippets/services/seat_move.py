"""Seats move between campuses: the process that coordinates it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from snippets import saga, semantic_lock
from snippets.checkpoint import Checkpoint, nothing
from snippets.saga import Coordinator
from snippets.services.campus import Campus


async def main(
    home: str, source: str, target: str, moves: list[dict[str, Any]], *, at: Checkpoint = nothing
) -> None:
    """End what an earlier process left, then run `moves`; all but the last are DSNs."""
    async with AsyncExitStack() as opened:
        conns = [
            await opened.enter_async_context(await AsyncConnection.connect(dsn, autocommit=True))
            for dsn in (home, source, target)
        ]
        await conns[0].execute(saga.CREATE_TABLE)
        coordinator = Coordinator(conns[0], at=at)
        move = semantic_lock.move(Campus(conns[1]), Campus(conns[2]))
        await coordinator.resume([move])
        for data in moves:
            await coordinator.run(move, UUID(data["id"]), data)
        at("saga.idle")
