"""Messages: what course, member and board tell each other while a course is created.

Guarantees:
    A message is understood wholly or refused (`Unreadable`, with the reason) before anything is
    done: an unknown type, a version of the future, a missing field, a wrong type.
    A field that a newer sender has added is ignored: who only adds fields keeps `schema`.

Does not guarantee:
    That anybody looks at what was refused: it waits in the dead letters.

Assumes:
    A sender raises `schema` only when old readers must not act on the message any more, and only
    after the new readers run.

Proved by:
    R35 tests/snippets/test_course_creation.py::test_message_is_refused_when_it_is_not_understood
    R35 tests/snippets/test_creation_events.py::test_unreadable_message_is_a_dead_letter_with_reason

Source: Fowler, Tolerant Reader (martinfowler.com, 2011); RFC 9413, Maintaining Robust Protocols.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

import msgspec

from snippets import outbox
from snippets.errors import Rejected

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class Unreadable(Rejected):
    """This version of the service cannot know what the message asks for."""


# --8<-- [start:messages]
class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=True):
    """A fact about the creation of one course."""

    course_id: Text
    schema: Literal[1] = 1


class CourseCreationStarted(Message, frozen=True, kw_only=True):
    """Course to all: the course is there, do your part."""

    title: Text
    manager: Text


class CourseCreationCancelled(Message, frozen=True, kw_only=True):
    """Course to all: undo your part, and answer also when there is nothing to undo."""

    reason: str


class ManagerAdded(Message, frozen=True, kw_only=True):
    """Member: the manager (담당자) takes the course."""


class ManagerRejected(Message, frozen=True, kw_only=True):
    """Member: the business says no; nothing was written."""

    reason: str


class ManagerRemoved(Message, frozen=True, kw_only=True):
    """Member: nothing of the course is kept here, nor ever will be."""


class BoardAdded(Message, frozen=True, kw_only=True):
    """Board: the course has a board (게시판)."""


class BoardRejected(Message, frozen=True, kw_only=True):
    """Board: the business says no; nothing was written."""

    reason: str


class BoardRemoved(Message, frozen=True, kw_only=True):
    """Board: nothing of the course is kept here, nor ever will be."""

    # --8<-- [end:messages]


CourseEvent = CourseCreationStarted | CourseCreationCancelled
Reply = ManagerAdded | ManagerRejected | ManagerRemoved | BoardAdded | BoardRejected | BoardRemoved

PARTICIPANTS = ("member", "board")
SAYS: Mapping[type[Message], tuple[str, Literal["added", "rejected", "removed"]]] = {
    ManagerAdded: ("member", "added"),
    ManagerRejected: ("member", "rejected"),
    ManagerRemoved: ("member", "removed"),
    BoardAdded: ("board", "added"),
    BoardRejected: ("board", "rejected"),
    BoardRemoved: ("board", "removed"),
}


def read_course_event(payload: Mapping[str, Any]) -> CourseEvent:
    """What the course says, for member and board; raises `Unreadable`."""
    event: CourseEvent = _read(payload, CourseEvent)
    return event


def read_reply(payload: Mapping[str, Any]) -> Reply:
    """What member and board say, for the course; raises `Unreadable`."""
    reply: Reply = _read(payload, Reply)
    return reply


# --8<-- [start:read]
def _read(payload: Mapping[str, Any], kind: Any) -> Any:
    try:
        return msgspec.convert(payload, kind)
    except msgspec.ValidationError as error:
        raise Unreadable(f"unreadable message: {error}") from error
    # --8<-- [end:read]


def event(topic: str, message: Message, *, new_id: Callable[[], UUID] = uuid4) -> outbox.Event:
    """For the outbox; messages of one course keep their order."""
    return outbox.Event(new_id(), topic, message.course_id, msgspec.to_builtins(message))
