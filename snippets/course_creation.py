"""Course creation by events: the course service's side of a transaction over three services.

Guarantees:
    A creation ends: completed when every participant has added its part, or failed when every one
    has removed it, whatever is repeated, late or out of order. Both ends are final.
    `cancelling` and the event that asks for it commit together, and only then is anything deleted:
    a crash in between leaves something that says what is still to be done.
    Two replies that come at once take turns: none is overlooked.
    What does not end in time is cancelled; a cancellation that is not answered is asked for again,
    after twice the time each time.

Does not guarantee:
    Isolation: others can see the parts of a creation that is not completed (see `semantic_lock`).
    When it ends: a participant that is down is waited for.

Assumes:
    Participants answer a cancellation also when they had nothing, and refuse what comes after it
    (`services.participant_events`). The id of a course is used once.
    All calls are in the caller's transaction, with the inbox for deliveries (`consumer`).

Proved by:
    E34 tests/snippets/test_course_creation.py::test_creation_ends_when_two_replies_come_at_once
    E33 tests/snippets/test_creation_events.py::test_no_zombie_is_left_when_the_cancel_came_first
    R35 tests/snippets/test_creation_events.py::test_creation_fails_cleanly_when_a_service_rejects

Source: Richardson, Microservices Patterns, chapter 4; Kakao Pay, msa-transaction (2023);
PostgreSQL 18, 13.3.2 Row-Level Locks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID, uuid4

from psycopg import AsyncConnection

from snippets import outbox
from snippets.checkpoint import Checkpoint, nothing
from snippets.creation_messages import (
    PARTICIPANTS,
    SAYS,
    BoardRejected,
    CourseCreationCancelled,
    CourseCreationStarted,
    ManagerRejected,
    Reply,
    event,
)
from snippets.errors import Rejected
from snippets.services import catalogue
from snippets.services.catalogue import Course
from snippets.services.migrate import files

CREATE_TABLE = files("course")["005_creation.sql"]

BEGIN = "INSERT INTO course_creation (course_id, state, due_at) VALUES (%s, 'running', %s)"
# Replies to one course take turns: the second waits here and then sees what the first has written.
LOCK = "SELECT state FROM course_creation WHERE course_id = %s FOR UPDATE"
REMEMBER = """
INSERT INTO creation_reply (course_id, participant, word) VALUES (%s, %s, %s)
ON CONFLICT DO NOTHING
"""
HEARD = "SELECT participant FROM creation_reply WHERE course_id = %s AND word = %s"
ENTER = """
UPDATE course_creation SET
    state = %(state)s, reason = coalesce(reason, %(reason)s), asked = asked + %(asks)s,
    due_at = %(now)s + %(patience)s * power(2, least(asked, 10))
WHERE course_id = %(course_id)s RETURNING reason
"""
# Locks what it returns; rows that a reply or another watchdog has locked are left for later.
OVERDUE = """
SELECT course_id FROM course_creation
WHERE state IN ('running', 'cancelling') AND due_at <= %s
ORDER BY due_at LIMIT 100 FOR UPDATE SKIP LOCKED
"""
# One statement, so one snapshot: between two, the last reply could come.
STATUS = """
SELECT state, reason, ARRAY(
    SELECT participant FROM creation_reply AS reply WHERE reply.course_id = creation.course_id
    AND word = CASE state WHEN 'running' THEN 'added' WHEN 'cancelling' THEN 'removed' END
) FROM course_creation AS creation WHERE course_id = %s
"""

State = Literal["running", "completed", "cancelling", "failed"]
Word = Literal["added", "rejected", "removed", "cancel"]


# --8<-- [start:transitions]
@dataclass(frozen=True)
class Transition:
    """Where a word leads; `by_all`: only when every participant has said it."""

    to: State
    by_all: bool = False


# What is not in this table changes nothing: that is why repeats and late replies are harmless.
TRANSITIONS: Mapping[tuple[State, Word], Transition] = {
    ("running", "added"): Transition("completed", by_all=True),
    ("running", "rejected"): Transition("cancelling"),
    ("running", "cancel"): Transition("cancelling"),
    ("cancelling", "cancel"): Transition("cancelling"),  # asks again
    ("cancelling", "removed"): Transition("failed", by_all=True),
}
# --8<-- [end:transitions]


class UnknownCreation(Rejected):
    """No creation of that course was started here."""


@dataclass(frozen=True)
class Status:
    """What a caller sees who asks.

    Attributes:
        course_id: Whose creation it is; also the transaction's id.
        state: running, completed, cancelling or failed.
        reason: Why it is cancelled or failed.
        missing: Participants that are waited for; none when it has ended.
    """

    course_id: str
    state: State
    reason: str | None = None
    missing: tuple[str, ...] = ()


def utc_now() -> datetime:
    """The default clock."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class CourseCreation:
    """The course's side; every method works in the caller's transaction and never commits.

    Attributes:
        topic: Where the course speaks to member and board.
        patience: How long a state may last before the watchdog acts.
        clock: The time, with its zone.
        new_id: Makes the ids of events.
        at: Fault points, see `checkpoint`.
    """

    topic: str
    patience: timedelta = timedelta(seconds=30)
    clock: Callable[[], datetime] = utc_now
    new_id: Callable[[], UUID] = uuid4
    at: Checkpoint = nothing

    def __post_init__(self) -> None:
        if self.patience <= timedelta():
            raise ValueError("patience must be longer than no time: it is what participants have")

    # --8<-- [start:start]
    async def start(self, conn: AsyncConnection, course: Course) -> bool:
        """The course, the event for the others and the state `running`, in one transaction.

        Returns:
            False when the course's id was used before: then nothing is done.

        Raises:
            NoPlace: the term is full or unknown; the caller's transaction is lost.
        """
        self.at("creation.begun")
        used = await (await conn.execute(LOCK, (course.id,))).fetchone()
        if used or not await catalogue.add(conn, course):
            return False
        self.at("creation.course_added")
        started = CourseCreationStarted(
            course_id=course.id, title=course.title, manager=course.manager
        )
        await outbox.write(conn, event(self.topic, started, new_id=self.new_id))
        self.at("creation.start_written")
        await conn.execute(BEGIN, (course.id, self.clock() + self.patience))
        self.at("creation.running")
        return True
        # --8<-- [end:start]

    # --8<-- [start:on_reply]
    async def on_reply(self, conn: AsyncConnection, reply: Reply) -> State:
        """Take in what a participant says; returns the state after it.

        Raises:
            UnknownCreation: nobody has started that course here.
        """
        participant, word = SAYS[type(reply)]
        self.at(f"creation.{word}_received")
        state = await self._lock(conn, reply.course_id)
        await conn.execute(REMEMBER, (reply.course_id, participant, word))
        reason = reply.reason if isinstance(reply, ManagerRejected | BoardRejected) else None
        return await self._apply(conn, reply.course_id, state, word, reason)

    async def _apply(
        self, conn: AsyncConnection, course_id: str, state: State, word: Word, reason: str | None
    ) -> State:
        transition = TRANSITIONS.get((state, word))
        if transition is None:
            return state
        if transition.by_all and await self._missing(conn, course_id, word):
            return state
        return await self._enter(conn, course_id, transition.to, reason)
        # --8<-- [end:on_reply]

    # --8<-- [start:cancel]
    async def cancel(self, conn: AsyncConnection, course_id: str, reason: str) -> State:
        """Cancel what is running, ask again for what is cancelling; what has ended stays.

        Raises:
            UnknownCreation: nobody has started that course here.
        """
        state = await self._lock(conn, course_id)
        return await self._apply(conn, course_id, state, "cancel", reason)

    async def cancel_overdue(self, conn: AsyncConnection) -> list[str]:
        """The watchdog: cancel what did not end in time; returns the courses, a hundred at most."""
        overdue = await (await conn.execute(OVERDUE, (self.clock(),))).fetchall()
        for (course_id,) in overdue:
            await self.cancel(conn, course_id, "not completed in time")
        return [course_id for (course_id,) in overdue]
        # --8<-- [end:cancel]

    # --8<-- [start:enter]
    async def _enter(
        self, conn: AsyncConnection, course_id: str, state: State, reason: str | None
    ) -> State:
        if state == "completed":
            await catalogue.show(conn, course_id)
        elif state == "cancelling":
            await catalogue.give_up(conn, course_id)
        else:
            await catalogue.remove(conn, course_id)
            self.at("creation.course_deleted")
        values = {"course_id": course_id, "state": state, "reason": reason}
        times = {"now": self.clock(), "patience": self.patience}
        asks = {"asks": int(state == "cancelling")}
        entered = await conn.execute(ENTER, {**values, **times, **asks})
        self.at(f"creation.{state}")
        if state == "cancelling":
            (why,) = await entered.fetchone() or ("",)
            cancelled = CourseCreationCancelled(course_id=course_id, reason=why)
            await outbox.write(conn, event(self.topic, cancelled, new_id=self.new_id))
            self.at("creation.cancel_written")
        return state
        # --8<-- [end:enter]

    # --8<-- [start:status]
    async def status(self, conn: AsyncConnection, course_id: str) -> Status:
        """How far it is, without waiting for anybody.

        Raises:
            UnknownCreation: nobody has started that course here.
        """
        row = await (await conn.execute(STATUS, (course_id,))).fetchone()
        if row is None:
            raise UnknownCreation(f"no creation of course {course_id} is known")
        state, reason, heard = row
        open_ = state in {"running", "cancelling"}
        missing = tuple(one for one in PARTICIPANTS if one not in heard) if open_ else ()
        return Status(course_id, state, reason, missing)
        # --8<-- [end:status]

    async def _lock(self, conn: AsyncConnection, course_id: str) -> State:
        row = await (await conn.execute(LOCK, (course_id,))).fetchone()
        if row is None:
            raise UnknownCreation(f"no creation of course {course_id} is known")
        state: State = row[0]
        return state

    async def _missing(self, conn: AsyncConnection, course_id: str, word: Word) -> tuple[str, ...]:
        heard = await (await conn.execute(HEARD, (course_id, word))).fetchall()
        return tuple(one for one in PARTICIPANTS if (one,) not in heard)
