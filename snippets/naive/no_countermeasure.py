"""Loses, doubles or sells what is not there: five writes with nothing between them and other sagas.

Each stands for a module that does it right and has a function of the same name: `apply` for
`snippets.commutative`, `write` for `snippets.reread`, `due` for `snippets.version_file`, `move` for
`snippets.pessimistic_view`, `book` for `snippets.by_value`. Without `snippets.semantic_lock` a
reader calls `snippets.services.campus.read`.

Proved by:
    R40 tests/snippets/test_commutative.py::test_change_is_lost_when_the_value_is_written
    R40 tests/snippets/test_reread.py::test_write_erases_what_came_between_when_nothing_is_reread
    R40 tests/snippets/test_version_file.py::test_zombie_stays_when_operations_apply_as_they_arrive
    R40 tests/snippets/test_pessimistic_view.py::test_seats_are_sold_twice_when_giving_comes_first
    R40 tests/snippets/test_by_value.py::test_large_booking_takes_seats_in_flight_when_all_are_alike
    E35 tests/snippets/test_semantic_lock.py::test_sum_is_wrong_in_between_when_readers_see_no_flag
"""

from __future__ import annotations

from psycopg import AsyncConnection

from snippets import commutative
from snippets.by_value import Booking
from snippets.checkpoint import Checkpoint, nothing
from snippets.commutative import REMEMBER, Change
from snippets.saga import Saga, Step
from snippets.services.campus import Campus, Seats, read
from snippets.version_file import Operation

SET = "UPDATE seats SET free = %s, version = version + 1 WHERE course_id = %s"


# --8<-- [start:apply]
async def apply(conn: AsyncConnection, change: Change, *, at: Checkpoint = nothing) -> bool:
    """Read, compute, write: whatever came between the read and the write is gone."""
    if not (await conn.execute(REMEMBER, vars(change))).rowcount:
        return False
    seats = await read(conn, change.course_id)
    at("seats.read")
    await conn.execute(SET, (seats.free + change.delta, change.course_id))
    return True
    # --8<-- [end:apply]


# --8<-- [start:write]
async def write(conn: AsyncConnection, seen: Seats, free: int) -> None:
    """The first step has read, a later one writes; who knows what came between."""
    await conn.execute(SET, (free, seen.course_id))
    # --8<-- [end:write]


# --8<-- [start:due]
async def due(_: AsyncConnection, arrived: Operation) -> list[Operation]:
    """What arrives is applied, in the order of the network."""
    return [arrived]
    # --8<-- [end:due]


# --8<-- [start:move]
def move(source: Campus, target: Campus) -> Saga:
    """For a while the seats are there twice, and may be sold twice."""
    steps = (
        Step("give", target.give, target.take_back),
        Step("take", source.take, source.give_back),
    )
    return Saga("move-seats-naively", steps)
    # --8<-- [end:move]


# --8<-- [start:book]
async def book(conn: AsyncConnection, booking: Booking, *, strict_from: int) -> bool:  # noqa: ARG001
    """Ten million won are treated like ten thousand."""
    return await commutative.apply(conn, Change(booking.id, booking.course_id, -booking.seats))
    # --8<-- [end:book]
