"""04-acid: two changes are one unit, which only its last statement makes last."""

from psycopg import Connection

from snippets import seats
from snippets.checkpoint import Checkpoint, nothing
from snippets.unit_of_work import UnitOfWork

LEAVE = "DELETE FROM enrolment WHERE course_id = %s AND member = %s"


def withdraw(conn: Connection, course: str, member: str, *, at: Checkpoint = nothing) -> None:
    """Give the seat back and take the member off the list, or neither."""
    with UnitOfWork(conn) as unit:
        seats.give_back(conn, course)
        at("withdraw.seat_given_back")
        conn.execute(LEAVE, [course, member])
        unit.commit()
