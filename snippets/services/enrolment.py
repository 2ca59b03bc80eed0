"""Enrolment (수강 신청): a seat is taken and the member is on the list, or neither."""

from __future__ import annotations

import psycopg
from psycopg import Connection

from snippets import seats
from snippets.checkpoint import Checkpoint, nothing
from snippets.unit_of_work import UnitOfWork


# --8<-- [start:enrol]
def enrol(conn: Connection, course_id: str, member: str, *, at: Checkpoint = nothing) -> None:
    """Both changes, in the caller's transaction; never commits.

    Raises:
        NoSeat: all seats are taken, or there is no such course.
        psycopg.errors.UniqueViolation: 23505, the member is on the list.
    """
    seats.take(conn, course_id)
    at("enrolment.seat_taken")
    seats.enrol(conn, course_id, member)
    # --8<-- [end:enrol]


def main(dsn: str, course_id: str, member: str, *, at: Checkpoint = nothing) -> None:
    """A process that enrols one member."""
    with psycopg.connect(dsn) as conn, UnitOfWork(conn, at=at) as unit:
        enrol(conn, course_id, member, at=at)
        unit.commit()
