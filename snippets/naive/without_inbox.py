"""Doubles effects: a consumer that takes every delivery for a new event.

The right way: `snippets.services.member.on_course_created` with `snippets.inbox`.

Shown by: E22 tests/snippets/test_inbox.py::test_effect_is_doubled_without_an_inbox
"""

from __future__ import annotations

from uuid import UUID

from psycopg import AsyncConnection

from snippets.services.member import add_course


# --8<-- [start:handle]
async def on_course_created(conn: AsyncConnection, event_id: UUID, manager: str) -> bool:  # noqa: ARG001
    """Handle one delivery, and the next one of the same event again."""
    async with conn.transaction():
        await add_course(conn, manager)
        return True
        # --8<-- [end:handle]
