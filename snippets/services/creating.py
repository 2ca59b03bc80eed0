"""Ways to create a course (과정) that needs a manager at 멤버 and a board at 게시판.

Guarantees:
    A creation that returns has its course in all three databases; one that raises `Rejected` left
    nothing in any, whichever replies were lost on the way.
    What raises anything else may stand half made; a repeat with the same id brings it to its end.
    `commit_first` and `orchestrated` end also when their process died and nobody repeats: see
    `recover` and `Sagas.resume`. What `by_events` began is ended by `course_creation`.

Does not guarantee:
    An end of `long_transaction` and `version_check` without a repeat when their process dies: what
    they have done elsewhere stands nowhere but in memory.
    Isolation: others see managers and boards of courses that are not there yet, or never will be.

Assumes:
    The course's id names the intent and is used for it alone; participants are idempotent by it.
    Of those who work on one id at the same time at most one is alive (`keyed`: the lease).

Proved by:
    E11 tests/snippets/test_creating.py::test_conflict_leaves_nothing_when_the_version_has_moved_on
    E13 tests/snippets/test_creating.py::test_lost_replies_leave_no_orphans_in_any_style
    E14 tests/snippets/test_course_service.py::test_course_is_whole_when_its_service_was_killed
    E16 tests/snippets/test_creating.py::test_lost_reply_leaves_nothing_when_it_is_cancelled

Source: Richardson, Microservices Patterns, chapters 3 and 4; Azure Architecture Center,
Compensating Transaction pattern; PostgreSQL 18, 13.3.2 Row-Level Locks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Literal

from psycopg import AsyncConnection

from snippets.errors import CallError, InDoubt, Rejected
from snippets.retry import retrying
from snippets.services import catalogue
from snippets.services.catalogue import Course
from snippets.services.means import Means

StyleName = Literal["long-transaction", "version-check", "commit-first", "saga", "events"]
Keep = Callable[[AsyncConnection, Course], Awaitable[None]]
"""What else is to be committed together with the course, such as the reply (`idempotency`)."""


class Cancelled(Rejected):
    """Another service failed, and everything was undone; a new id begins anew."""


class Unfinished(InDoubt):
    """Neither whole nor undone yet; the same id goes on."""


async def nothing_else(_: AsyncConnection, __: Course) -> None:
    """The default: the course only."""


# --8<-- [start:long_transaction]
async def long_transaction(means: Means, course: Course, *, keep: Keep = nothing_else) -> Course:
    """Pessimistic: one transaction around both calls; it holds a connection and two row locks."""
    new = replace(course, style="long-transaction", state="open")
    async with means.pool.connection() as conn:
        await catalogue.lock_term(conn, course.term)
        if not await catalogue.add(conn, new):
            return await _known(conn, course, keep)
        means.at("creating.written")
        await _all_or_none(means, course)
        await keep(conn, new)
        means.at("creating.kept")
    return new
    # --8<-- [end:long_transaction]


# --8<-- [start:version_check]
async def version_check(means: Means, course: Course, *, keep: Keep = nothing_else) -> Course:
    """Optimistic: holds a connection, but no lock during the calls; a conflict shows after them."""
    new = replace(course, style="version-check", state="open")
    async with means.pool.connection() as conn:
        if course.id in await catalogue.find(conn, [course.id]):
            return await _known(conn, course, keep)
        seen = await catalogue.term_version(conn, course.term)
        means.at("creating.version_read")
        await _all_or_none(means, course)
        try:
            await catalogue.raise_version(conn, course.term, seen)
            await catalogue.add(conn, new)
        except Rejected:
            await _undo_calls(means, course.id)
            raise
        await keep(conn, new)
        means.at("creating.kept")
    return new
    # --8<-- [end:version_check]


# --8<-- [start:commit_first]
async def commit_first(means: Means, course: Course, *, keep: Keep = nothing_else) -> Course:
    """Commit first, then call: the pending course says what may have to be undone."""
    async with means.pool.connection() as conn:
        await catalogue.add(conn, replace(course, style="commit-first"))
        begun = await _same(conn, course)
    means.at("creating.committed")  # from here on neither connection nor lock
    try:
        if begun.state == "cancelling":
            raise Cancelled(f"course {course.id} was given up")
        await _call_both(means, course)
    except CallError as error:
        if await undo(means, course.id):
            raise _ended(error) from error
    async with means.pool.connection() as conn:
        await catalogue.show(conn, course.id)
        return await _known(conn, course, keep)
    # --8<-- [end:commit_first]


# --8<-- [start:undo]
async def undo(means: Means, course_id: str) -> bool:
    """Take a pending course back everywhere, whatever was done; False when it is open, and stays.

    Raises:
        Unfinished: a service does not answer; a repeat, or `recover`, goes on.
    """
    async with means.pool.connection() as conn:
        if not await catalogue.give_up(conn, course_id):
            return course_id not in await catalogue.find(conn, [course_id])
    means.at("creating.given_up")
    await _undo_calls(means, course_id)
    async with means.pool.connection() as conn:
        await catalogue.remove(conn, course_id)
    return True


async def recover(means: Means, *, older_than: timedelta) -> int:
    """Undo what `commit_first` began and nobody is at work on any more; returns how many."""
    async with means.pool.connection() as conn:
        left = await catalogue.abandoned(conn, "commit-first", older_than)
    for course_id in left:
        with suppress(Unfinished):  # next time
            await undo(means, course_id)
    return len(left)
    # --8<-- [end:undo]


# --8<-- [start:orchestrated]
async def orchestrated(means: Means, course: Course, *, keep: Keep = nothing_else) -> Course:
    """A saga: its log says what was done, its coordinator undoes it."""
    ending = await means.sagas.create(course)
    if ending.state == "compensated":
        raise (Rejected if ending.rejected else Cancelled)(f"undone: {ending.reason}")
    if ending.state != "done":
        raise Unfinished(f"the creation of course {course.id} is {ending.state}")
    async with means.pool.connection() as conn:
        return await _known(conn, course, keep)
    # --8<-- [end:orchestrated]


# --8<-- [start:events]
async def by_events(means: Means, course: Course, *, keep: Keep = nothing_else) -> Course:
    """Course and event in one transaction; the others act on it when they can. Returns at once."""
    async with means.pool.connection() as conn:
        await means.creation.start(conn, replace(course, style="events"))
        begun = await _same(conn, course)
        await keep(conn, begun)
    means.bell.ring()
    return begun
    # --8<-- [end:events]


Style = Callable[..., Awaitable[Course]]
STYLES: Mapping[StyleName, Style] = {
    "long-transaction": long_transaction,
    "version-check": version_check,
    "commit-first": commit_first,
    "saga": orchestrated,
    "events": by_events,
}


# --8<-- [start:calls]
async def _call_both(means: Means, course: Course) -> None:
    await retrying(means.policy)(means.member.register, course.id, course.manager)
    means.at("creating.manager_added")
    await retrying(means.policy)(means.board.register, course.id, course.title)
    means.at("creating.board_added")


async def _undo_calls(means: Means, course_id: str) -> None:
    """Whether they were made or not: a call whose reply was lost may have been."""
    try:
        await retrying(means.policy)(means.board.cancel, course_id)
        await retrying(means.policy)(means.member.cancel, course_id)
    except CallError as error:
        raise Unfinished(f"course {course_id} is not undone yet: {error.reason}") from error


async def _all_or_none(means: Means, course: Course) -> None:
    """Inside the transaction: who comes with the same id waits until everything is undone."""
    try:
        await _call_both(means, course)
    except CallError as error:
        await _undo_calls(means, course.id)
        raise _ended(error) from error
    # --8<-- [end:calls]


def _ended(error: CallError) -> Rejected:
    return error if isinstance(error, Rejected) else Cancelled(f"undone: {error.reason}")


async def _known(conn: AsyncConnection, course: Course, keep: Keep) -> Course:
    """The course that this request, or an earlier one, has brought to its end."""
    known = await _same(conn, course)
    if known.state != "open":
        raise Unfinished(f"course {course.id} is {known.state}")
    await keep(conn, known)
    return known


async def _same(conn: AsyncConnection, course: Course) -> Course:
    known = (await catalogue.find(conn, [course.id])).get(course.id)
    if known is None:
        raise Cancelled(f"course {course.id} was given up")
    if (known.title, known.manager, known.term) != (course.title, course.manager, course.term):
        raise Rejected(f"there is another course {course.id}")
    return known
