"""12-between-services: a buyer looks at the flag, and lets no saga begin before the purchase."""

from psycopg import AsyncConnection

from snippets import commutative, semantic_lock


async def buy(conn: AsyncConnection, course: str, seats: int) -> None:
    """Take seats that no saga is at work on; raises `Pending` and `NotEnough`."""
    async with conn.transaction():
        await semantic_lock.read(conn, course, hold=True)
        await commutative.add(conn, course, -seats)
