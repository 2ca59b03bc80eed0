"""The event side of `registry`: what member (담당자) and board (게시판) do for a new course.

Guarantees:
    Each event is answered in the transaction of its effect: added, rejected or removed. A repeat
    changes nothing and gets the same answer.
    A cancellation is answered also when there was nothing to remove, and wins for ever: an event
    that comes late, or again, adds nothing.

Does not guarantee:
    That an event is handled soon: the service takes it when it can; until then it waits in Kafka.

Assumes:
    The handler's transaction holds the inbox row too (`consumer`); a relay sends the answers.

Proved by:
    E33 tests/snippets/test_creation_events.py::test_no_zombie_is_left_when_the_cancel_came_first
    R35 tests/snippets/test_creation_events.py::test_creation_fails_cleanly_when_a_service_rejects

Source: Richardson, Microservices Patterns, chapters 3 and 4; Kakao Pay, msa-transaction (2023).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection

from snippets import outbox
from snippets.checkpoint import Checkpoint, nothing
from snippets.consumer import Delivery
from snippets.creation_messages import (
    BoardAdded,
    BoardRejected,
    BoardRemoved,
    CourseCreationCancelled,
    CourseCreationStarted,
    ManagerAdded,
    ManagerRejected,
    ManagerRemoved,
    Message,
    event,
    read_course_event,
)
from snippets.services import registry, worker
from snippets.services.member_app import at_work
from snippets.services.participant import Rule, everybody
from snippets.services.registry import Registered


@dataclass(frozen=True)
class Participant:
    """What differs between the services.

    Attributes:
        name: Of the service, and of its checkpoints.
        wanted: What it keeps for a course.
        rule: Why the business refuses that; None when it does not.
        added: The answer when the course's row is there.
        rejected: The answer when the business refused it.
        removed: The answer when there is none, and never will be.
    """

    name: str
    wanted: Callable[[CourseCreationStarted], str]
    rule: Rule
    added: type[ManagerAdded | BoardAdded]
    rejected: type[ManagerRejected | BoardRejected]
    removed: type[ManagerRemoved | BoardRemoved]


MEMBER = Participant(
    name="member",
    wanted=lambda started: started.manager,
    rule=at_work,
    added=ManagerAdded,
    rejected=ManagerRejected,
    removed=ManagerRemoved,
)
BOARD = Participant(
    name="board",
    wanted=lambda started: started.title,
    rule=everybody,
    added=BoardAdded,
    rejected=BoardRejected,
    removed=BoardRemoved,
)


# --8<-- [start:on_started]
async def on_started(
    conn: AsyncConnection,
    me: Participant,
    started: CourseCreationStarted,
    *,
    at: Checkpoint = nothing,
) -> Message | None:
    """Add the row, unless the business refuses; None when the course was cancelled before."""
    at(f"{me.name}.start_received")
    course, wanted = started.course_id, me.wanted(started)
    known = await registry.find(conn, [course])
    if course not in known and (refusal := await me.rule(conn, wanted)):
        at(f"{me.name}.rejected")
        return me.rejected(course_id=course, reason=refusal)
    found = await registry.register(conn, course, wanted)
    if found is Registered.CANCELLED:
        return None  # the cancellation was answered
    if found is Registered.OTHER:
        return me.rejected(course_id=course, reason=f"course {course} has another name here")
    at(f"{me.name}.added")
    return me.added(course_id=course)
    # --8<-- [end:on_started]


# --8<-- [start:on_cancelled]
async def on_cancelled(
    conn: AsyncConnection,
    me: Participant,
    cancelled: CourseCreationCancelled,
    *,
    at: Checkpoint = nothing,
) -> Message | None:
    """Remove the row and bury the course; that there was no row is a success, too."""
    at(f"{me.name}.cancel_received")
    await registry.cancel(conn, cancelled.course_id)
    at(f"{me.name}.removed")
    return me.removed(course_id=cancelled.course_id)
    # --8<-- [end:on_cancelled]


Reaction = Callable[..., Awaitable[Message | None]]
REACTIONS: Mapping[type[Message], Reaction] = {
    CourseCreationStarted: on_started,
    CourseCreationCancelled: on_cancelled,
}


# --8<-- [start:react]
async def react(
    conn: AsyncConnection,
    me: Participant,
    payload: Mapping[str, Any],
    *,
    topic: str,
    reactions: Mapping[type[Message], Reaction] = REACTIONS,
    at: Checkpoint = nothing,
) -> None:
    """Handle one event of the course; the answer goes into this service's own outbox.

    Args:
        conn: The caller's transaction.
        me: Which service this is.
        payload: What the course said.
        topic: Where this service answers.
        reactions: What to do with each kind of event.
        at: Fault points.

    Raises:
        Unreadable: this version of the service does not know the message.
    """
    said = read_course_event(payload)
    answer = await reactions[type(said)](conn, me, said, at=at)
    if answer is not None:
        await outbox.write(conn, event(topic, answer))
        at(f"{me.name}.{'removal' if isinstance(answer, me.removed) else 'answer'}_written")
        # --8<-- [end:react]


async def run(
    me: Participant,
    dsn: str,
    kafka: Mapping[str, Any],
    topics: Mapping[str, str],
    *,
    reactions: Mapping[type[Message], Reaction] = REACTIONS,
    instance: str = "1",
    stop: asyncio.Event | None = None,
    at: Checkpoint = nothing,
) -> None:
    """The process of one participant: take the course's events and answer them, until `stop`.

    Args:
        me: Which service this is.
        dsn: Its own database.
        kafka: How any client reaches Kafka.
        topics: The physical names of `course`, of its own topic, and of `dead-letters`.
        reactions: What to do with each kind of event.
        instance: Which of the service's processes this is.
        stop: Ends it.
        at: Fault points.
    """
    answers = topics[me.name]

    async def handle(conn: AsyncConnection, delivery: Delivery) -> None:
        await react(conn, me, delivery.payload, topic=answers, reactions=reactions, at=at)

    await worker.run(
        dsn,
        kafka,
        service=me.name,
        topics=[topics["course"]],
        group=answers,
        handler=handle,
        dead_letters=topics["dead-letters"],
        instance=instance,
        stop=stop,
        at=at,
    )
