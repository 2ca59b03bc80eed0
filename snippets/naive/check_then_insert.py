"""Doubles the effect: two requests look for the key, both find nothing, both work.

Proved by:
    E26 tests/snippets/test_idempotency.py::test_check_then_insert_doubles_when_requests_overlap
"""

from __future__ import annotations

from psycopg import AsyncConnection

from snippets.checkpoint import Checkpoint, nothing
from snippets.idempotency import Reply

CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS handled (
    scope  text NOT NULL,
    key    text NOT NULL,
    status int NOT NULL,
    body   text NOT NULL
)
"""
LOOK = "SELECT status, body FROM handled WHERE scope = %s AND key = %s"
KEEP = "INSERT INTO handled (scope, key, status, body) VALUES (%s, %s, %s, %s)"


# --8<-- [start:claim]
async def claim(
    conn: AsyncConnection, scope: str, key: str, *, at: Checkpoint = nothing
) -> Reply | None:
    """The reply that was given; None when there was none a moment ago."""
    row = await (await conn.execute(LOOK, (scope, key))).fetchone()
    at("idempotency.looked")
    return Reply(*row) if row else None
    # --8<-- [end:claim]


async def finish(conn: AsyncConnection, scope: str, key: str, reply: Reply) -> None:
    """Keep the reply."""
    await conn.execute(KEEP, (scope, key, reply.status, reply.body))
