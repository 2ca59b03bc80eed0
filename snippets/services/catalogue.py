"""The course service's own tables: courses (과정), and the places that a term (학기) has for them.

Guarantees:
    A term never has more courses than places, whoever writes: the table's CHECK says so.
    `add` may be repeated: the second time it finds its row and takes no second place.
    A course ends either open or removed: `show` and `give_up` change only what is still pending,
    and of two that come at once one finds nothing to change.

Does not guarantee:
    That a pending course has an end: whoever added it sees to that (`creating`).

Assumes:
    Everybody who changes a term's row raises its version.

Proved by:
    E11 tests/snippets/test_creating.py::test_conflict_leaves_nothing_when_the_version_has_moved_on

Source: PostgreSQL 18, 7.8.4 Data-Modifying Statements in WITH, 13.3.2 Row-Level Locks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Literal

from psycopg import AsyncConnection
from psycopg.errors import CheckViolation, ForeignKeyViolation
from psycopg.rows import class_row

from snippets.errors import Rejected
from snippets.services.migrate import files

CREATE_TABLE = files("course")["001_course.sql"]

# --8<-- [start:add_sql]
# Waits for a concurrent transaction with the same id, then for the term's row, which stays locked
# until the transaction ends. The CHECK refuses a course too many, and all is undone.
ADD = """
WITH added AS (
    INSERT INTO course (id, title, manager, term, style, state)
    VALUES (%(id)s, %(title)s, %(manager)s, %(term)s, %(style)s, %(state)s)
    ON CONFLICT (id) DO NOTHING RETURNING term
), counted AS (
    UPDATE term SET courses = courses + 1, version = term.version + 1
    FROM added WHERE term.name = added.term
)
SELECT count(*) FROM added
"""
# --8<-- [end:add_sql]
REMOVE = """
WITH removed AS (
    DELETE FROM course WHERE id = %s AND state <> 'open' RETURNING term
)
UPDATE term SET courses = courses - 1, version = term.version + 1
FROM removed WHERE term.name = removed.term
"""
# Of these two, at once, the second waits and then finds another state.
SHOW = "UPDATE course SET state = 'open', version = version + 1 WHERE id = %s AND state = 'pending'"
GIVE_UP = """
UPDATE course SET state = 'cancelling', version = version + 1 WHERE id = %s AND state <> 'open'
"""
FIND = "SELECT id, title, manager, term, style, state, version FROM course WHERE id = ANY (%s)"
ABANDONED = """
SELECT id FROM course WHERE style = %s AND state <> 'open' AND created_at < now() - %s
"""
READ_TERM = "SELECT version FROM term WHERE name = %s"
# Both keep out every other course of the term until the transaction ends, but no foreign key.
LOCK_TERM = f"{READ_TERM} FOR NO KEY UPDATE"
RAISE_VERSION = "UPDATE term SET version = version + 1 WHERE name = %s AND version = %s"

State = Literal["pending", "open", "cancelling"]


class NoPlace(Rejected):
    """The term has no place left, or there is no such term."""


class Outdated(Rejected):
    """Somebody has changed the term since it was read."""


@dataclass(frozen=True)
class Course:
    """A course.

    Attributes:
        id: The intent's name, too: whoever repeats a creation uses the same.
        title: What users see.
        manager: The 담당자.
        term: Where it takes a place; None for all year round.
        style: How it was created, see `creating`.
        state: Whether it may still vanish.
        version: Raised by every change.
    """

    id: str
    title: str
    manager: str
    term: str | None = None
    style: str | None = None
    state: State = "pending"
    version: int = 1


# --8<-- [start:add]
async def add(conn: AsyncConnection, course: Course) -> bool:
    """Add a course and take a place in its term; False when the course is there already.

    Raises:
        NoPlace: the term is full or unknown; the caller's transaction is lost.
    """
    try:
        row = await (await conn.execute(ADD, asdict(course))).fetchone()
    except (CheckViolation, ForeignKeyViolation) as error:
        raise NoPlace(f"term {course.term} has no place for a course") from error
    return row == (1,)
    # --8<-- [end:add]


async def show(conn: AsyncConnection, course_id: str) -> bool:
    """A pending course is open now; False when there is none."""
    return (await conn.execute(SHOW, (course_id,))).rowcount == 1


async def give_up(conn: AsyncConnection, course_id: str) -> bool:
    """A course that is not open never will be; False when there is none."""
    return (await conn.execute(GIVE_UP, (course_id,))).rowcount == 1


async def remove(conn: AsyncConnection, course_id: str) -> None:
    """Take a course that is not open away, and give its place back; a repeat is no error."""
    await conn.execute(REMOVE, (course_id,))


async def find(conn: AsyncConnection, course_ids: Sequence[str]) -> dict[str, Course]:
    """Courses by id, open or not; what is not there is left out."""
    async with conn.cursor(row_factory=class_row(Course)) as cursor:
        found = await (await cursor.execute(FIND, (list(course_ids),))).fetchall()
    return {course.id: course for course in found}


async def abandoned(conn: AsyncConnection, style: str, older_than: timedelta) -> list[str]:
    """Courses of a style that should have come to an end by now."""
    rows = await (await conn.execute(ABANDONED, (style, older_than))).fetchall()
    return [course_id for (course_id,) in rows]


# --8<-- [start:versions]
async def lock_term(conn: AsyncConnection, term: str | None) -> None:
    """Pessimistic: nobody else adds a course to the term until the caller's transaction ends."""
    await conn.execute(LOCK_TERM, (term,))


async def term_version(conn: AsyncConnection, term: str | None) -> int | None:
    """Optimistic, first half: what to compare with later. Locks nothing; None without a term."""
    row = await (await conn.execute(READ_TERM, (term,))).fetchone()
    return row[0] if row else None


async def raise_version(conn: AsyncConnection, term: str | None, seen: int | None) -> None:
    """Optimistic, second half: from here on as `lock_term`, if nobody was quicker.

    Raises:
        Outdated: somebody was.
    """
    if seen is not None and not (await conn.execute(RAISE_VERSION, (term, seen))).rowcount:
        raise Outdated(f"term {term} is no longer at version {seen}")
    # --8<-- [end:versions]
