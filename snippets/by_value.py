"""By value: what a request is worth decides how strictly it is isolated from unfinished sagas.

Guarantees:
    A booking of `strict_from` won or more takes only seats that no saga is at work on: no
    compensation will take them away again.
    No booking, of whatever value, takes more seats than the row shows.

Does not guarantee:
    That to smaller bookings: a seat that a saga has given and takes back may be sold. The loss is
    bounded by what such a booking is worth, and the saga is left to people (`saga`).
    That the strict ones get through at once: they are refused while a saga is at work (`Pending`).

Assumes:
    Somebody has weighed what a wrong booking costs against what a refused one does.
    `book` is in a transaction, which is rolled back when it raises. Sagas flag their rows
    (`semantic_lock`).

Proved by:
    R40 tests/snippets/test_by_value.py::test_only_the_large_booking_waits_when_seats_are_in_flight
    R40 tests/snippets/test_by_value.py::test_saga_waits_when_a_large_booking_is_at_work

Source: Richardson, Microservices Patterns, section 4.3.2, "By value"; Frank and Zahle, Semantic
ACID Properties in Multidatabases (1998).
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from psycopg import AsyncConnection

from snippets import commutative, semantic_lock
from snippets.commutative import Change


@dataclass(frozen=True)
class Booking:
    """Seats of a course for a group.

    Attributes:
        id: Of the intent; a repeat has the same.
        course_id: Which course.
        seats: How many.
        fee: Won, for all of them.
    """

    id: UUID
    course_id: str
    seats: int
    fee: int

    def __post_init__(self) -> None:
        if self.seats < 1 or self.fee < 0:
            raise ValueError(
                f"booking {self.id}: at least one seat, and a fee that is not negative"
            )


# --8<-- [start:book]
async def book(conn: AsyncConnection, booking: Booking, *, strict_from: int) -> bool:
    """Take the seats in the caller's transaction; False when it is a repeat.

    Args:
        conn: The caller's transaction.
        booking: What is wanted.
        strict_from: Won; from this fee on only settled seats are taken.

    Raises:
        Pending: a saga is at work on the seats, and the booking is worth too much to take them.
        NotEnough: there are fewer seats.
    """
    if booking.fee >= strict_from:
        await semantic_lock.read(conn, booking.course_id, hold=True)
    return await commutative.apply(conn, Change(booking.id, booking.course_id, -booking.seats))
    # --8<-- [end:book]
