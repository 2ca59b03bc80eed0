"""Commutative update: a change says how much is added, not what comes out.

Guarantees:
    Changes of one row end in the same number, in whatever order and from whatever sagas they come;
    none is lost.
    Each change has its effect once: a repeat changes nothing, and one that was undone before it
    came is refused.
    The number of free seats never becomes negative: the change that would do so is refused.

Does not guarantee:
    That order does not matter to refusals: of two changes that are too much together the first
    one passes.
    Isolation: others see the number in between (see `semantic_lock`).

Assumes:
    `apply` is in a transaction, which is rolled back when it raises.
    Nobody writes `free` by value.

Proved by:
    R40 tests/snippets/test_commutative.py::test_result_is_the_same_when_changes_come_in_any_order
    R40 tests/snippets/test_commutative.py::test_nothing_is_lost_when_a_change_comes_between

Source: Garcia-Molina and Salem, Sagas (SIGMOD 1987); Frank and Zahle, Semantic ACID Properties in
Multidatabases (1998); Richardson, Microservices Patterns, section 4.3.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from psycopg import AsyncConnection

from snippets.errors import Rejected

# --8<-- [start:table]
CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS seat_change (
    id        uuid PRIMARY KEY,  -- of the intent: a repeat has the same
    course_id text NOT NULL,
    delta     int NOT NULL,
    undone    boolean NOT NULL DEFAULT false
)
"""
# --8<-- [end:table]
# Waits for a concurrent transaction with the same id; inserts nothing when that commits.
REMEMBER = """
INSERT INTO seat_change (id, course_id, delta) VALUES (%(id)s, %(course_id)s, %(delta)s)
ON CONFLICT DO NOTHING
"""
UNDONE = "SELECT undone FROM seat_change WHERE id = %s"
# --8<-- [start:add_sql]
# Locks the row until the transaction ends; whoever waited adds to the number that was committed.
ADD = """
UPDATE seats SET free = free + %(delta)s, version = version + 1
WHERE course_id = %(course_id)s AND free + %(delta)s >= 0
"""
# --8<-- [end:add_sql]


class NotEnough(Rejected):
    """There are fewer free seats than that, or no such course."""


class Undone(Rejected):
    """The change was undone before it came."""


@dataclass(frozen=True)
class Change:
    """So many seats more, or less.

    Attributes:
        id: Of the intent; a repeat has the same.
        course_id: Whose seats.
        delta: Seats; negative when they are taken.
    """

    id: UUID
    course_id: str
    delta: int

    def __post_init__(self) -> None:
        if self.delta == 0:
            raise ValueError(f"change {self.id} of 0 seats changes nothing: leave it out")


# --8<-- [start:apply]
async def apply(conn: AsyncConnection, change: Change) -> bool:
    """Apply `change` in the caller's transaction; False when it is a repeat.

    Raises:
        NotEnough: there are fewer seats, or no such course; roll back.
        Undone: the change was undone before it came.
    """
    if (await conn.execute(REMEMBER, vars(change))).rowcount:
        await add(conn, change.course_id, change.delta)
        return True
    if await (await conn.execute(UNDONE, (change.id,))).fetchone() == (True,):
        raise Undone(f"change {change.id} was undone before it came")
    return False


async def add(conn: AsyncConnection, course_id: str, delta: int) -> None:
    """Add to the number, whatever it is; raises `NotEnough`."""
    if not (await conn.execute(ADD, {"course_id": course_id, "delta": delta})).rowcount:
        raise NotEnough(f"course {course_id} has no {-delta} free seats here")
    # --8<-- [end:apply]
