"""What the course service (과정) takes and answers."""

from __future__ import annotations

import json
from dataclasses import dataclass

import msgspec
from starlette.responses import Response

from snippets.errors import Rejected
from snippets.idempotency import Reply
from snippets.services.catalogue import Course, Outdated
from snippets.services.creating import Cancelled, StyleName
from snippets.services.problems import Id, Name, Problem


class NewCourse(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a caller sends."""

    title: Name
    manager: Name
    term: Name | None = None
    style: StyleName = "saga"


@dataclass(frozen=True)
class Courses:
    """Many courses, in the order asked, and the ids of what is not there."""

    rows: list[Course]
    missing: list[Id]


# --8<-- [start:replies]
REFUSALS: dict[type[Rejected], int] = {Outdated: 409, Cancelled: 424, Rejected: 422}


def success(course: Course) -> Reply:
    """201 when it is open, 202 when others have still to act."""
    return Reply(201 if course.state == "open" else 202, msgspec.json.encode(course).decode())


def refusal(error: Rejected) -> Reply:
    """Final, for nothing is left: only a new key may bring another."""
    status = next(REFUSALS[kind] for kind in type(error).__mro__ if kind in REFUSALS)
    problem = Problem(status, error.reason, again="new key")
    return Reply(status, json.dumps(problem.body, ensure_ascii=False))


def response(reply: Reply, course: str) -> Response:
    """A reply as it is sent, the first time and every time after it."""
    where = {201: f"/courses/{course}", 202: f"/courses/{course}/creation"}
    headers = {"Location": where[reply.status]} if reply.status in where else {}
    kind = "application/problem+json" if reply.status >= 400 else "application/json"
    return Response(reply.body, reply.status, headers, media_type=kind)
    # --8<-- [end:replies]
