"""Breaks the side by side of commits: the transaction that writes the event also rings.

A transaction that has called NOTIFY takes, when it commits, a lock that the whole server has only
once, and holds it until its commit is on disk. All others that do so wait, in whatever database.
The right way: `snippets.outbox.Doorbell`, after the commit.

Proved by:
    E25 tests/snippets/test_doorbell.py::test_committers_take_turns_when_they_notify_inside
"""

from __future__ import annotations

from psycopg import AsyncConnection

from snippets import outbox


# --8<-- [start:write]
async def write(conn: AsyncConnection, event: outbox.Event) -> None:
    """Put `event` into the caller's transaction, and ring when that commits."""
    await outbox.write(conn, event)
    await conn.execute(f"NOTIFY {outbox.CHANNEL}")
    # --8<-- [end:write]
