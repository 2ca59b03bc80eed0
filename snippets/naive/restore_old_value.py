"""Loses what others did: the compensation writes back the value that was there before.

The right way: `snippets.compensation.undo`, which takes back the difference.

Proved by:
    E17 tests/snippets/test_compensation.py::test_other_change_is_erased_when_old_value_is_restored
"""

from __future__ import annotations

from psycopg import AsyncConnection

from snippets import commutative
from snippets.commutative import Change

CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS seats_before (
    change_id uuid PRIMARY KEY,
    free      int NOT NULL
)
"""
KEEP = """
INSERT INTO seats_before (change_id, free) SELECT %s, free FROM seats WHERE course_id = %s
ON CONFLICT DO NOTHING
"""
RESTORE = """
UPDATE seats SET free = before.free, version = version + 1
FROM seats_before before WHERE before.change_id = %s AND course_id = %s
"""


# --8<-- [start:undo]
async def apply(conn: AsyncConnection, change: Change) -> bool:
    """Keep the old value for the compensation, then change it."""
    await conn.execute(KEEP, (change.id, change.course_id))
    return await commutative.apply(conn, change)


async def undo(conn: AsyncConnection, change: Change) -> bool:
    """Everything is as it was before; also what others have changed since."""
    return (await conn.execute(RESTORE, (change.id, change.course_id))).rowcount == 1
    # --8<-- [end:undo]
