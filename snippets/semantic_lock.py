"""Semantic lock: a row says that a saga is at work on it, for as long as the saga lasts.

Guarantees:
    From a saga's first change of a row to its end no reader who asks here takes the row for
    settled: `read` refuses it, `settled` leaves it out.
    `snapshot` shows the rows of several databases as they were at one moment, none in flight: what
    a saga only moves adds up to the same sum in every one.
    Of two sagas that want one row the second is refused, and may come again later.

Does not guarantee:
    Anything to readers that do not look at the flag.
    That the flag goes away when its saga hangs. It is never taken over: the values under it are
    not settled. `overdue` names the saga, `saga.resume` ends it, and that releases the row.
    Freedom from deadlock: nobody waits, but two sagas may refuse each other again and again.

Assumes:
    The flag is set in the transaction of the saga's first change, and released by its last steps,
    compensation included. Every writer of the row raises `version`.
    The lease is longer than a saga takes that nothing goes wrong with.

Proved by:
    E35 tests/snippets/test_semantic_lock.py::test_sum_is_right_in_every_sample_when_readers_ask
    E35 tests/snippets/test_semantic_lock.py::test_sum_is_right_when_a_move_runs_between_two_reads
    E35 tests/snippets/test_semantic_lock.py::test_flag_stays_until_the_killed_saga_is_resumed

Source: Garcia-Molina and Salem, Sagas (SIGMOD 1987); Richardson, Microservices Patterns, section
4.3.2; Azure Architecture Center, Saga pattern; Afek et al., Atomic Snapshots of Shared Memory
(JACM 1993): two equal collects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from snippets.checkpoint import Checkpoint, nothing
from snippets.commutative import Change, NotEnough, apply
from snippets.compensation import undo
from snippets.errors import Retriable
from snippets.idempotency import utc_now
from snippets.saga import Call, Saga, Step
from snippets.services.campus import Campus, Seats, giving, taking

# --8<-- [start:table]
EXTEND_TABLE = """
ALTER TABLE seats
    ADD COLUMN IF NOT EXISTS pending_by    uuid,        -- the saga at work; NULL when none is
    ADD COLUMN IF NOT EXISTS pending_until timestamptz  -- when it should have ended
"""
# --8<-- [end:table]
# --8<-- [start:acquire_sql]
# Locks the row until the transaction ends; what others see after that is the flag.
ACQUIRE = """
UPDATE seats SET pending_by = %(owner)s, pending_until = %(until)s, version = version + 1
WHERE course_id = %(course_id)s AND (pending_by IS NULL OR pending_by = %(owner)s)
"""
# --8<-- [end:acquire_sql]
RELEASE = """
UPDATE seats SET pending_by = NULL, pending_until = NULL, version = version + 1
WHERE course_id = %s AND pending_by = %s
"""
READ = "SELECT course_id, free, version, pending_by FROM seats WHERE course_id = %s"
# The lock that an UPDATE takes: no saga begins with the row until the transaction ends.
HOLD = f"{READ} FOR NO KEY UPDATE"
SETTLED = """
SELECT course_id, free, version FROM seats WHERE pending_by IS NULL ORDER BY course_id
"""
OVERDUE = """
SELECT course_id, pending_by FROM seats WHERE pending_until < %s ORDER BY pending_until
"""


class Pending(Retriable):
    """A saga is at work on the row; come again when it has ended."""


# --8<-- [start:acquire]
async def acquire(
    conn: AsyncConnection,
    course_id: str,
    owner: UUID,
    *,
    lease: timedelta = timedelta(minutes=1),
    clock: Callable[[], datetime] = utc_now,
) -> None:
    """Flag the row in the transaction of the saga's first change.

    Args:
        conn: The caller's transaction.
        course_id: The row.
        owner: The saga.
        lease: After this time `overdue` names the saga.
        clock: The time, with its zone.

    Raises:
        Pending: another saga is at work on it.
    """
    values = {"course_id": course_id, "owner": owner, "until": clock() + lease}
    if not (await conn.execute(ACQUIRE, values)).rowcount:
        raise Pending(f"another saga is at work on course {course_id}")
    # --8<-- [end:acquire]


# --8<-- [start:release]
async def release(conn: AsyncConnection, course_id: str, owner: UUID) -> bool:
    """Take the owner's flag away in the caller's transaction; False when there was none."""
    return (await conn.execute(RELEASE, (course_id, owner))).rowcount == 1
    # --8<-- [end:release]


# --8<-- [start:read]
async def read(conn: AsyncConnection, course_id: str, *, hold: bool = False) -> Seats:
    """The seats, when no saga is at work on them.

    Args:
        conn: The caller's connection or transaction.
        course_id: The row.
        hold: Let no saga begin until the caller's transaction ends.

    Raises:
        Pending: a saga is at work on them.
        NotEnough: there is no such course.
    """
    row = await (await conn.execute(HOLD if hold else READ, (course_id,))).fetchone()
    if row is None:
        raise NotEnough(f"there is no course {course_id} here")
    if row[3] is not None:
        raise Pending(f"a saga is at work on course {course_id}")
    return Seats(*row[:3])


async def settled(conn: AsyncConnection) -> list[Seats]:
    """All rows that no saga is at work on: for lists, which had better be short than wrong."""
    return [Seats(*row) for row in await (await conn.execute(SETTLED)).fetchall()]
    # --8<-- [end:read]


# --8<-- [start:snapshot]
async def snapshot(
    conns: Sequence[AsyncConnection],
    course_id: str,
    *,
    attempts: int = 5,
    at: Checkpoint = nothing,
) -> list[Seats]:
    """The rows of several databases as they were at one moment, when no saga was at work on them.

    A move could run from its start to its end between the first read and the last. Two equal
    rounds exclude it: between them nothing has changed.

    Raises:
        Pending: a saga is at work on one of the rows, or they changed in every round.
    """
    seen: list[Seats] = []
    for _ in range(attempts):
        before, seen = seen, []
        for conn in conns:
            seen.append(await read(conn, course_id))
            at("semantic_lock.read")
        if seen == before:
            return seen
    raise Pending(f"course {course_id} changed in {attempts} rounds")
    # --8<-- [end:snapshot]


async def overdue(
    conn: AsyncConnection, *, clock: Callable[[], datetime] = utc_now
) -> list[tuple[str, UUID]]:
    """Rows whose saga should have ended, and that saga: for `saga.resume`, or for people."""
    return [(row[0], row[1]) for row in await (await conn.execute(OVERDUE, (clock(),))).fetchall()]


# --8<-- [start:move]
def move(source: Campus, target: Campus) -> Saga:
    """Seats of a course move from one campus to another; both rows are flagged until the end.

    The `id` in the saga's data is its own.
    """
    take, give_back, show_source = _flagged(source.conn, taking)
    give, take_back, show_target = _flagged(target.conn, giving)
    steps = (
        Step("take", take, give_back),
        Step("give", give, take_back),
        Step("show-target", show_target, kind="retriable"),
        Step("show-source", show_source, kind="retriable"),
    )
    return Saga("move-seats-locked", steps)


def _flagged(
    conn: AsyncConnection, change_of: Callable[[Mapping[str, Any]], Change]
) -> tuple[Call, Call, Call]:
    async def change(data: Mapping[str, Any]) -> None:
        async with conn.transaction():
            if await apply(conn, change_of(data)):  # a late repeat sets no flag that would stay
                await acquire(conn, data["course_id"], UUID(data["id"]))

    async def take_back(data: Mapping[str, Any]) -> None:
        async with conn.transaction():
            await undo(conn, change_of(data))
            await release(conn, data["course_id"], UUID(data["id"]))

    async def show(data: Mapping[str, Any]) -> None:
        await release(conn, data["course_id"], UUID(data["id"]))

    return change, take_back, show
    # --8<-- [end:move]
