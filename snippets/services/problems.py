"""What a service answers when it refuses: RFC 9457 problem documents, and the checks of its input.

Source: RFC 9457, Problem Details for HTTP APIs; RFC 9110, HTTP Semantics, 15.5.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

MAX_IDS = 100
T = TypeVar("T")

# A line's end is no part of either: `$` alone would let one pass.
Id = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._:-]{1,64}$(?!\n)")]
"""Of a course; safe in a path, a comma-separated list and a log line."""
Name = Annotated[
    str,
    msgspec.Meta(
        min_length=1, max_length=100, pattern=r"^[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$(?!\n)"
    ),
]
"""For people to read: no control character, no blank in front."""
Ids = Annotated[list[Id], msgspec.Meta(min_length=1, max_length=MAX_IDS)]


class ProblemDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How it looks."""

    title: str
    status: int
    detail: str
    limit: int | None = None
    """What would have been accepted."""
    again: str | None = None
    """For a write: a repeat goes on with the `same key`, or begins anew with a `new key`."""


# --8<-- [start:problem]
class Problem(Exception):  # noqa: N818
    """A refusal that the caller can act on."""

    def __init__(
        self, status: int, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers
        self.body = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}

    def response(self) -> Response:
        """As RFC 9457 writes it."""
        kind = "application/problem+json"
        return JSONResponse(self.body, self.status, self.headers, media_type=kind)
        # --8<-- [end:problem]


async def body(request: Request, kind: type[T]) -> T:
    """The request's JSON as `kind`; unknown fields and wrong types are refused.

    Raises:
        Problem: 415 for another media type, 400 for what is no JSON, 422 for another shape.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise Problem(415, "send application/json")
    try:
        return msgspec.json.decode(await request.body(), type=kind)
    except msgspec.ValidationError as error:
        raise Problem(422, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem(400, f"the body is no JSON: {error}") from None


def course_id(request: Request) -> str:
    """The id in the path.

    Raises:
        Problem: 400 when it can be no course's id.
    """
    try:
        return msgspec.convert(request.path_params["course_id"], Id)
    except msgspec.ValidationError as error:
        raise Problem(400, f"no course id: {error}") from None


def wanted_ids(request: Request) -> list[str]:
    """The `ids=a,b,c` of a batch request, without repeats, in order.

    Raises:
        Problem: 400 when there is none, one is no id, or there are more than `MAX_IDS`.
    """
    ids = request.query_params.get("ids", "").split(",")
    if len(ids) > MAX_IDS:
        raise Problem(400, f"{len(ids)} ids; ask for at most {MAX_IDS} at a time", limit=MAX_IDS)
    try:
        return list(dict.fromkeys(msgspec.convert(ids, Ids)))
    except msgspec.ValidationError as error:
        raise Problem(400, f"name the rows: ?ids=a,b,c ({error})") from None
