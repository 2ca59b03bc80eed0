"""A worker that runs in a process of its own."""

from __future__ import annotations

from psycopg import AsyncConnection

from snippets.checkpoint import Checkpoint
from snippets.queue import Job, step


async def certify(conn: AsyncConnection, job: Job) -> None:
    """Write a certificate (수료증): the effect that is counted."""
    await conn.execute(
        "INSERT INTO certificate (job, member) VALUES (%s, %s)", (job.id, job.payload["member"])
    )


async def worker(dsn: str, *, at: Checkpoint) -> None:
    """Do one job."""
    async with await AsyncConnection.connect(dsn, autocommit=True) as conn:
        await step(conn, certify, at=at)
