"""A service's operations as one table: the routes and their OpenAPI description come from it.

What a handler decodes and encodes is what the description shows, for both name the same types.

Source: OpenAPI Specification 3.1; JSON Schema 2020-12; msgspec, JSON Schema.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import chain
from typing import Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from snippets.correlation import HTTP_HEADER
from snippets.services.problems import Id, ProblemDocument

Handler = Callable[[Request], Awaitable[Response]]
# What the envelope around every request may answer.
ANYWHERE = (400, 414, 500, 503, 504)
WITH_BODY = (413, 415, 422)
CORRELATION = {
    HTTP_HEADER: {
        "description": "Names the request in the logs of all services that it came to.",
        "schema": {"type": "string"},
    }
}


@dataclass(frozen=True)
class Parameter:
    """What a caller says outside of the body; a list is written with commas."""

    name: str
    kind: Any
    place: Literal["path", "query", "header"] = "query"
    required: bool = True


COURSE_ID = Parameter("course_id", Id, "path")


# --8<-- [start:operation]
@dataclass(frozen=True)
class Operation:
    """One thing that a service does.

    Attributes:
        name: Unique in the service.
        method: GET, PUT, POST or DELETE.
        path: As Starlette writes it.
        handler: What does it.
        replies: Success by status: what the body is, None without one.
        parameters: What it takes, besides the body.
        refuses: Other statuses than those that any operation may answer.
        body: What the request's body is.
    """

    name: str
    method: str
    path: str
    handler: Handler
    replies: Mapping[int, Any]
    parameters: Sequence[Parameter] = ()
    refuses: Sequence[int] = ()
    body: Any = None
    # --8<-- [end:operation]


def routes(operations: Sequence[Operation], title: str) -> list[Route]:
    """One route a path, so that a refused method is told all that are allowed; and the description.

    Args:
        operations: What the service does.
        title: The service's name.
    """
    description = document(operations, title)

    async def describe(_: Request) -> Response:
        return JSONResponse(description)

    paths: dict[str, dict[str, Handler]] = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.method] = one.handler
    made = [_route(path, handlers) for path, handlers in paths.items()]
    return [*made, Route("/openapi.json", describe)]


def _route(path: str, handlers: Mapping[str, Handler]) -> Route:
    async def handle(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        return await handlers[method](request)

    return Route(path, handle, methods=list(handlers))


# --8<-- [start:document]
def document(operations: Sequence[Operation], title: str) -> dict[str, Any]:
    """The description, as OpenAPI 3.1 writes it."""
    kinds = list(chain.from_iterable(map(_kinds, operations)))
    schemas, components = msgspec.json.schema_components(
        [ProblemDocument, *kinds], ref_template="#/components/schemas/{name}"
    )
    look_up = iter(schemas)
    problem = next(look_up)
    paths: dict[str, dict[str, Any]] = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, look_up, problem)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": "1"},
        "paths": paths,
        "components": {"schemas": components},
    }
    # --8<-- [end:document]


def _kinds(one: Operation) -> list[Any]:
    """Every type of an operation, in the order in which `_operation` asks for their schemas."""
    kinds = [parameter.kind for parameter in one.parameters]
    kinds += [] if one.body is None else [one.body]
    return kinds + [kind for kind in one.replies.values() if kind is not None]


def _operation(one: Operation, schemas: Iterable[Any], problem: Any) -> dict[str, Any]:
    look_up = iter(schemas)
    described: dict[str, Any] = {
        "operationId": one.name,
        "parameters": [_parameter(parameter, next(look_up)) for parameter in one.parameters],
        "responses": {},
    }
    if one.body is not None:
        described["requestBody"] = {"required": True, **_content("application/json", next(look_up))}
    for status, kind in one.replies.items():
        content = {} if kind is None else _content("application/json", next(look_up))
        described["responses"][str(status)] = _response(status, content)
    for status in sorted({*ANYWHERE, *one.refuses, *(WITH_BODY if one.body is not None else ())}):
        content = _content("application/problem+json", problem)
        described["responses"][str(status)] = _response(status, content)
    return described


def _parameter(parameter: Parameter, schema: Any) -> dict[str, Any]:
    written = {"style": "form", "explode": False} if parameter.place == "query" else {}
    what = {"name": parameter.name, "in": parameter.place, "required": parameter.required}
    return {**what, "schema": schema, **written}


def _content(media_type: str, schema: Any) -> dict[str, Any]:
    return {"content": {media_type: {"schema": schema}}}


def _response(status: int, content: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": HTTPStatus(status).phrase, "headers": CORRELATION, **content}
