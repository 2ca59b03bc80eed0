"""07-locks: all sessions lock the courses in one order, so nobody waits in a circle."""

from collections.abc import Sequence

from psycopg import Connection

from snippets import seats


def sign_up(conn: Connection, course_ids: Sequence[str]) -> None:
    """Take a seat on each course, in the caller's transaction; raises `NoSeat`."""
    for course_id in sorted(course_ids):
        seats.take(conn, course_id)
