"""What every service does around its routes: problems, correlation ids, limits, health, shutdown.

Errors leave as `application/problem+json` and never as a stack trace. Each request has a
correlation id, taken from the caller or made, that is in the reply, in every log line and on every
call onward.

Source: RFC 9457, Problem Details for HTTP APIs; RFC 9110, HTTP Semantics.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    contextmanager,
)
from datetime import UTC, datetime
from http import HTTPStatus
from socket import socket
from typing import Any, TypeVar

import msgspec
import uvicorn
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from snippets.checkpoint import Checkpoint, nothing
from snippets.correlation import HTTP_HEADER, correlation_id, take_over
from snippets.services.migrate import files, migrate

MAX_BODY = 64 * 1024
MAX_IDS = 100
TIMEOUT = 5.0
"""Seconds in which a request is answered."""

log = logging.getLogger("service")
T = TypeVar("T")


# --8<-- [start:problem]
class Problem(Exception):  # noqa: N818
    """A refusal that the caller can act on."""

    def __init__(self, status: int, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.body = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}

    def response(self) -> Response:
        """As RFC 9457 writes it."""
        return JSONResponse(self.body, self.status, media_type="application/problem+json")
        # --8<-- [end:problem]


def database(dsn: str, *, size: int = 5) -> AsyncConnectionPool:
    """The service's connections, opened with it; one that broke is replaced before it is used."""
    check = AsyncConnectionPool.check_connection
    return AsyncConnectionPool(dsn, min_size=1, max_size=size, check=check, open=False)


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


def wanted_ids(request: Request) -> list[str]:
    """The `ids=a,b,c` of a batch request, without repeats, in order.

    Raises:
        Problem: 400 when there is none, one is empty, or there are more than `MAX_IDS`.
    """
    ids = list(dict.fromkeys(request.query_params.get("ids", "").split(",")))
    if "" in ids:
        raise Problem(400, "name the rows: ?ids=a,b,c")
    if len(ids) > MAX_IDS:
        raise Problem(400, f"{len(ids)} ids; ask for at most {MAX_IDS} at a time", limit=MAX_IDS)
    return ids


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
                await self.app(scope, _limited(receive), answer)
        except PoolTimeout:  # nothing was done: no connection, no statement
            await answer.instead(Problem(503, "no connection to the database"), scope, receive)
        except TimeoutError:
            await answer.instead(
                Problem(503, f"no answer within {self.timeout:g} s"), scope, receive
            )
        except Problem as problem:
            await answer.instead(problem, scope, receive)
        except Exception:
            log.exception("unexpected")
            await answer.instead(Problem(500, "unexpected; see the service's log"), scope, receive)
        finally:
            took = round(1000 * (time.monotonic() - begun), 1)
            facts = {"method": scope["method"], "path": scope["path"], "status": answer.status}
            log.info("request", extra={"facts": {**facts, "ms": took}})
            # --8<-- [end:envelope]


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


def _limited(receive: Receive) -> Receive:
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
    routes: Sequence[BaseRoute],
    pool: AsyncConnectionPool,
    *,
    name: str,
    timeout: float = TIMEOUT,
    beside: Callable[[], AbstractAsyncContextManager[Any]] | None = None,
) -> Starlette:
    """An application with health checks, whose database is migrated before it is ready.

    Args:
        routes: What the service does.
        pool: Its own database; opened and closed with the application.
        name: Names its migrations.
        timeout: Seconds in which a request is answered.
        beside: What runs as long as the application does.
    """

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with pool:
            async with pool.connection() as conn:
                await migrate(conn, files(name))
            if beside is None:
                yield
                return
            async with beside():
                yield
                # --8<-- [end:service]

    async def live(_: Request) -> Response:
        return JSONResponse({"status": "live"})

    async def ready(_: Request) -> Response:
        async with pool.connection(timeout=1) as conn:
            await conn.execute("SELECT 1")
        return JSONResponse({"status": "ready"})

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return Problem(error.status_code, error.detail).response()

    health = [Route("/health/live", live), Route("/health/ready", ready)]
    return Starlette(
        routes=[*health, *routes],
        middleware=[Middleware(Envelope, timeout=timeout)],
        exception_handlers={HTTPException: refused},
        lifespan=lifespan,
    )


class JsonLines(logging.Formatter):
    """One JSON object a line, with the correlation id."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "message": record.getMessage(),
            "correlation_id": correlation_id.get(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class _Server(uvicorn.Server):
    """Leaves the signals to the process that it runs in, and says when it listens."""

    def __init__(self, config: uvicorn.Config, at: Checkpoint) -> None:
        super().__init__(config)
        self.at = at

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.at("service.ready")


async def run(
    app: Starlette, port: int, *, stop: asyncio.Event | None = None, at: Checkpoint = nothing
) -> None:
    """Serve on 127.0.0.1 until `stop`; requests that are under way are answered first."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    log.handlers, log.propagate = [handler], False
    log.setLevel(logging.INFO)
    quiet: dict[str, Any] = {"log_config": None, "access_log": False}
    server = _Server(uvicorn.Config(app, "127.0.0.1", port, lifespan="on", **quiet), at)

    async def leave() -> None:
        await (stop or asyncio.Event()).wait()
        server.should_exit = True

    leaving = asyncio.create_task(leave())
    try:
        await server.serve()
    finally:
        leaving.cancel()
