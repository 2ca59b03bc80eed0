"""Version file: operations on a record are filed as they arrive and applied as they were numbered.

Guarantees:
    Each operation is handed out for application once, in the order of the numbers and without a
    gap, in whatever order, how often and how concurrently they arrive.

Does not guarantee:
    Progress: operations behind a missing one wait for it. `waiting` shows them, for an alarm.

Assumes:
    The source numbers the operations of a record 1, 2, 3, in the order in which it commits them:
    it counts in the record's own row, under that row's lock.
    What `due` returns is applied in the transaction that it was called in.

Proved by:
    R40 tests/snippets/test_version_file.py::test_result_is_the_same_when_operations_are_swapped
    R40 tests/snippets/test_version_file.py::test_operation_is_due_once_when_all_arrive_at_once

Source: Frank and Zahle, Semantic ACID Properties in Multidatabases (1998); Richardson,
Microservices Patterns, section 4.3.2.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import AsyncConnection

# --8<-- [start:table]
CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS version_file (  -- what waits for its turn
    record_id text,
    number    int,
    body      text NOT NULL,
    PRIMARY KEY (record_id, number)
);
CREATE TABLE IF NOT EXISTS version_mark (  -- how far the record has come
    record_id text PRIMARY KEY,
    applied   int NOT NULL
);
"""
# --8<-- [end:table]
# Locks the record's mark until the transaction ends: its operations take turns. The update that
# changes nothing is what locks it.
MARK = """
INSERT INTO version_mark AS m (record_id, applied) VALUES (%s, 0)
ON CONFLICT (record_id) DO UPDATE SET applied = m.applied RETURNING applied
"""
FILE = """
INSERT INTO version_file (record_id, number, body) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING
"""
FILED = """
SELECT record_id, number, body FROM version_file WHERE record_id = %s ORDER BY number
"""
ADVANCE = "UPDATE version_mark SET applied = %s WHERE record_id = %s"
TAKE_OUT = "DELETE FROM version_file WHERE record_id = %s AND number <= %s"
WAITING = """
SELECT record_id, applied + 1, count(*) FROM version_file JOIN version_mark USING (record_id)
GROUP BY record_id, applied ORDER BY record_id
"""


@dataclass(frozen=True)
class Operation:
    """What is to be done to a record.

    Attributes:
        record_id: Which.
        number: From 1, by the source, without gaps.
        body: What; means something to who applies it.
    """

    record_id: str
    number: int
    body: str

    def __post_init__(self) -> None:
        if self.number < 1:
            raise ValueError(f"operation {self.number} of {self.record_id}: numbers begin with 1")


@dataclass(frozen=True)
class Gap:
    """So many operations of a record wait for the missing one."""

    record_id: str
    missing: int
    waiting: int


# --8<-- [start:due]
async def due(conn: AsyncConnection, arrived: Operation) -> list[Operation]:
    """File what arrived; what may be applied now, in order, in the caller's transaction."""
    row = await (await conn.execute(MARK, (arrived.record_id,))).fetchone()
    assert row is not None
    applied: int = row[0]
    if arrived.number <= applied:
        return []  # a repeat
    await conn.execute(FILE, (arrived.record_id, arrived.number, arrived.body))
    ready = []
    for values in await (await conn.execute(FILED, (arrived.record_id,))).fetchall():
        operation = Operation(*values)
        if operation.number != applied + 1:
            break
        ready.append(operation)
        applied = operation.number
    await conn.execute(ADVANCE, (applied, arrived.record_id))
    await conn.execute(TAKE_OUT, (arrived.record_id, applied))
    return ready
    # --8<-- [end:due]


async def waiting(conn: AsyncConnection) -> list[Gap]:
    """Records that stand still, and the number that each of them waits for."""
    return [Gap(*row) for row in await (await conn.execute(WAITING)).fetchall()]
