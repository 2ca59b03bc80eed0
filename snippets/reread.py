"""Reread value: a saga's write is refused when the row is no longer as the saga has read it.

Guarantees:
    A value that was computed from what was read is written only over what was read, although
    reading and writing are transactions of their own, and other sagas come in between.

Does not guarantee:
    That the saga gets through: whoever comes second has to read and decide again, or to give up.
    Anything about rows that were read and are not written: those may have changed.
    That a repeat succeeds: after a lost reply `Changed` may speak of one's own write.

Assumes:
    Every writer of the row raises `version`. Comparing the values would miss what was changed
    there and back.

Proved by:
    R40 tests/snippets/test_reread.py::test_write_is_refused_when_the_row_has_changed_since
    R40 tests/snippets/test_reread.py::test_write_is_refused_when_the_row_was_changed_there_and_back

Source: Richardson, Microservices Patterns, section 4.3.2; Fowler, Patterns of Enterprise
Application Architecture, Optimistic Offline Lock.
"""

from __future__ import annotations

from psycopg import AsyncConnection

from snippets.errors import Rejected
from snippets.services.campus import Seats

# --8<-- [start:write_sql]
# Locks the row until the transaction ends; finds none when the version has moved on.
WRITE = """
UPDATE seats SET free = %(new)s, version = version + 1
WHERE course_id = %(course_id)s AND version = %(version)s
"""
# --8<-- [end:write_sql]


class Changed(Rejected):
    """The row is not as it was read: read again and decide again, or compensate."""


# --8<-- [start:write]
async def write(conn: AsyncConnection, seen: Seats, free: int) -> None:
    """Write `free` over what was `seen`, in the caller's transaction.

    Raises:
        Changed: somebody has written the row since.
        ValueError: `free` is negative.
    """
    if free < 0:
        raise ValueError(f"{free} free seats: the number must be 0 or more")
    if not (await conn.execute(WRITE, {**vars(seen), "new": free})).rowcount:
        raise Changed(f"course {seen.course_id} is no longer at version {seen.version}")
    # --8<-- [end:write]
