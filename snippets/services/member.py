"""The member service (멤버): counts, per manager (담당자), the courses that were created."""

from __future__ import annotations

from uuid import UUID

from psycopg import AsyncConnection

from snippets import inbox

CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS manager (
    name    text PRIMARY KEY,
    courses int NOT NULL DEFAULT 0
)
"""
# Locks the manager's row until the transaction ends.
ADD_COURSE = """
INSERT INTO manager AS m (name, courses) VALUES (%s, 1)
ON CONFLICT (name) DO UPDATE SET courses = m.courses + 1
"""


async def add_course(conn: AsyncConnection, manager: str) -> None:
    """Count one more course; an effect that is wrong when it happens twice."""
    await conn.execute(ADD_COURSE, (manager,))


# --8<-- [start:handle]
async def on_course_created(conn: AsyncConnection, event_id: UUID, manager: str) -> bool:
    """Handle one delivery; False when it is a repeat."""
    async with conn.transaction():
        if not await inbox.first_time(conn, "member", event_id):
            return False
        await add_course(conn, manager)
        return True
        # --8<-- [end:handle]
