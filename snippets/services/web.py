"""What every service does around its routes: problems, correlation ids, limits, health, shutdown.

Errors leave as `application/problem+json` and never as a stack trace. Each request has a
correlation id, taken from the caller or made, that is in the reply, in every log line and on every
call onward.

Source: RFC 9457, Problem Details for HTTP APIs; RFC 9110, HTTP Semantics.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Literal

import msgspec
import psycopg
import uvicorn
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from snippets.checkpoint import Checkpoint, nothing
from snippets.correlation import HTTP_HEADER, take_over
from snippets.retry import may_succeed
from snippets.services import openapi
from snippets.services.migrate import files, migrate
from snippets.services.openapi import Operation
from snippets.services.problems import Problem
from snippets.services.serving import URL_LIMIT, JsonLines, Protocol, Server

MAX_BODY = 64 * 1024
MAX_URL = 8000
"""Bytes; what RFC 9110 asks everybody to take."""
TIMEOUT = 5.0
"""Seconds in which a request is answered."""
PATIENCE = 2.0
"""Seconds to wait for one of the pool's connections: less, so that the reason is known."""

log = logging.getLogger("service")


class Health(msgspec.Struct, frozen=True):
    """Of the process."""

    status: Literal["live", "ready"]


def database(dsn: str, *, size: int = 5) -> AsyncConnectionPool:
    """The service's connections, opened with it; one that broke is replaced before it is used."""
    check = AsyncConnectionPool.check_connection
    return AsyncConnectionPool(
        dsn, min_size=1, max_size=size, timeout=PATIENCE, check=check, open=False
    )


def reply(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A success; `value` is encoded as the service's description says."""
    return Response(msgspec.json.encode(value), status, headers, media_type="application/json")


# --8<-- [start:envelope]
class Envelope:
    """Around every request: correlation id, body limit, time-out, one log line, no stack trace."""

    def __init__(self, app: ASGIApp, *, timeout: float = TIMEOUT) -> None:
        self.app = app
        self.timeout = timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entry."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(send, take_over(Headers(scope=scope).get(HTTP_HEADER, "")))
        begun = time.monotonic()
        try:
            async with asyncio.timeout(self.timeout):
                await self.app(scope, _limited(scope, receive), answer)
        except Exception as error:
            await answer.instead(_meaning(error), scope, receive)
        finally:
            took = round(1000 * (time.monotonic() - begun), 1)
            facts = {"method": scope["method"], "path": scope["path"], "status": answer.status}
            log.info("request", extra={"facts": {**facts, "ms": took}})
            # --8<-- [end:envelope]


# --8<-- [start:meaning]
def _meaning(error: Exception) -> Problem:
    """503 only when nothing was done; what may have been done is a 500 or a 504."""
    match error:
        case Problem():
            return error
        case ClientDisconnect():
            return Problem(400, "the request was cut off")  # nobody reads it
        case PoolTimeout():
            return _later("no connection to the database")
        case TimeoutError():
            return Problem(504, "no answer in time; whether anything was done is unknown")
        case psycopg.OperationalError() if may_succeed(error):
            return _later("another transaction was quicker")
        case psycopg.OperationalError():
            log.error("database: %s %s", type(error).__name__, error.sqlstate)
            return Problem(500, "the database failed; whether anything was done is unknown")
    log.error("unexpected", exc_info=error)
    return Problem(500, "unexpected; see the service's log")


def _later(detail: str) -> Problem:
    return Problem(503, detail, headers={"Retry-After": "1"})
    # --8<-- [end:meaning]


class _Answer:
    """Sends the reply with its correlation id, and knows whether it has begun."""

    def __init__(self, send: Send, correlation: str) -> None:
        self.send = send
        self.correlation = correlation
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            MutableHeaders(scope=message)[HTTP_HEADER] = self.correlation
        await self.send(message)

    async def instead(self, problem: Problem, scope: Scope, receive: Receive) -> None:
        if self.status is None:  # else the reply is on its way, and can only be cut off
            await problem.response()(scope, receive, self)


def _limited(scope: Scope, receive: Receive) -> Receive:
    if len(scope["raw_path"]) + len(scope["query_string"]) > MAX_URL:
        raise Problem(414, f"the URL is over {MAX_URL} bytes", limit=MAX_URL)
    size = 0

    async def counted() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > MAX_BODY:
            raise Problem(413, f"the body is over {MAX_BODY} bytes", limit=MAX_BODY)
        return message

    return counted


# --8<-- [start:service]
def service(
    routes: Sequence[Operation | BaseRoute],
    pool: AsyncConnectionPool,
    *,
    name: str,
    timeout: float = TIMEOUT,
    beside: Callable[[], AbstractAsyncContextManager[Any]] | None = None,
) -> Starlette:
    """An application with health checks, whose database is migrated before it is ready.

    Args:
        routes: What the service does; operations are described at /openapi.json.
        pool: Its own database; opened and closed with the application.
        name: Names its migrations.
        timeout: Seconds in which a request is answered.
        beside: What runs as long as the application does.
    """

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with pool:
            async with pool.connection(timeout=30) as conn:
                await migrate(conn, files(name))
            if beside is None:
                yield
                return
            async with beside():
                yield
                # --8<-- [end:service]

    described = [*health(pool), *(one for one in routes if isinstance(one, Operation))]
    others = [one for one in routes if isinstance(one, BaseRoute)]
    return Starlette(
        routes=[*openapi.routes(described, name), *others],
        middleware=[Middleware(Envelope, timeout=timeout)],
        exception_handlers={HTTPException: _refused},
        lifespan=lifespan,
    )


def health(pool: AsyncConnectionPool) -> list[Operation]:
    """Live: the process answers, a restart would not help. Ready: it can do its work."""

    async def live(_: Request) -> Response:
        return reply(Health("live"))

    async def ready(_: Request) -> Response:
        try:
            async with pool.connection(timeout=1) as conn:
                await conn.execute("SELECT 1")
        except psycopg.OperationalError:
            raise _later("no connection to the database") from None
        return reply(Health("ready"))

    return [
        Operation("live", "GET", "/health/live", live, {200: Health}),
        Operation("ready", "GET", "/health/ready", ready, {200: Health}),
    ]


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return Problem(error.status_code, error.detail, headers=error.headers).response()


async def run(
    app: Starlette, port: int, *, stop: asyncio.Event | None = None, at: Checkpoint = nothing
) -> None:
    """Serve on 127.0.0.1 until `stop`; requests that are under way are answered first."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    log.handlers, log.propagate = [handler], False
    log.setLevel(logging.INFO)
    quiet: dict[str, Any] = {"log_config": None, "access_log": False}
    limits: dict[str, Any] = {"h11_max_incomplete_event_size": URL_LIMIT, "http": Protocol}
    config = uvicorn.Config(app, "127.0.0.1", port, lifespan="on", **quiet, **limits)
    server = Server(config, at)

    async def leave() -> None:
        await (stop or asyncio.Event()).wait()
        server.should_exit = True

    leaving = asyncio.create_task(leave())
    try:
        await server.serve()
    finally:
        leaving.cancel()
