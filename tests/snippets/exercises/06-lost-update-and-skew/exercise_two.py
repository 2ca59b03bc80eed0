"""06-lost-update-and-skew: one statement reads and writes, so nothing comes between."""

from psycopg import Connection

from snippets import seats

# Locks the row FOR NO KEY UPDATE. When it has to wait it looks again at what was committed since.
TAKE_TWO = """
UPDATE course_seats SET taken = taken + 2, version = version + 1
WHERE id = %s AND taken + 2 <= capacity
"""


def take_two(conn: Connection, course_id: str) -> None:
    """Take two seats in the caller's transaction, or none; raises `NoSeat`."""
    if not conn.execute(TAKE_TWO, (course_id,)).rowcount:
        raise seats.NoSeat(f"course {course_id} has no two seats left")
