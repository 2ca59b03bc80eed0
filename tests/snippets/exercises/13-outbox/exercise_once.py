"""13-outbox: a consumer of one's own remembers what it has counted, under a name of its own."""

from uuid import UUID

from psycopg import AsyncConnection

from snippets import inbox
from snippets.services import member


async def handle(conn: AsyncConnection, event_id: UUID, manager: str) -> None:
    """Count one delivery of an event, and none of its repeats."""
    async with conn.transaction():
        if await inbox.first_time(conn, "exercise", event_id):
            await member.add_course(conn, manager)
