"""Calls of one service by another: every failure says what the caller may do next.

A refused connection or a 503 did nothing (`Retriable`), a 4xx did nothing and never will
(`Rejected`), and everything that ends after the request left may have done its work (`InDoubt`).

Source: RFC 9110, 9.2.2 and 15; httpx, Exceptions.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from snippets.correlation import HTTP_HEADER, correlation_id
from snippets.errors import CallError, InDoubt, Rejected, Retriable

# The request cannot have left: no connection, or none to be had.
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
TRY_LATER = {429, 503}
# Services speak plain HTTP with each other. This trusts nobody's certificate, and need not read
# those of the whole world, which takes longer than twenty calls.
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
# Shorter than a server keeps a connection (uvicorn: 5 s): what is sent on one that it is about to
# close would be in doubt.
LIMITS = httpx.Limits(keepalive_expiry=2)


@asynccontextmanager
async def client(*, timeout: float = 1.0) -> AsyncIterator[httpx.AsyncClient]:  # noqa: ASYNC109
    """A client whose calls carry the correlation id of the request that they are part of."""

    async def correlate(request: httpx.Request) -> None:
        request.headers[HTTP_HEADER] = correlation_id.get()

    hooks = {"request": [correlate]}
    async with httpx.AsyncClient(
        timeout=timeout, event_hooks=hooks, verify=PLAIN, limits=LIMITS
    ) as http:
        yield http


def client_sync(*, timeout: float = 1.0) -> httpx.Client:
    """`client` for threads; close it. `call_sync` adds the correlation id."""
    return httpx.Client(timeout=timeout, verify=PLAIN, limits=LIMITS)


# --8<-- [start:call]
async def call(http: httpx.AsyncClient, method: str, url: str, **options: object) -> httpx.Response:
    """The reply, if it is a success.

    Raises:
        Retriable: nothing was done; the same call may succeed later.
        Rejected: nothing was done, and never will be; holds the reason.
        InDoubt: the request left and no usable reply came.
    """
    try:
        reply = await http.request(method, url, **options)  # type: ignore[arg-type]
    except httpx.TransportError as error:
        raise _unanswered(f"{method} {url}", error) from error
    return _success(f"{method} {url}", reply)
    # --8<-- [end:call]


def call_sync(http: httpx.Client, method: str, url: str, **options: object) -> httpx.Response:
    """`call` for threads."""
    correlation = {HTTP_HEADER: correlation_id.get()}
    try:
        reply = http.request(method, url, headers=correlation, **options)  # type: ignore[arg-type]
    except httpx.TransportError as error:
        raise _unanswered(f"{method} {url}", error) from error
    return _success(f"{method} {url}", reply)


# --8<-- [start:meaning]
def _unanswered(what: str, error: httpx.TransportError) -> CallError:
    kind = Retriable if isinstance(error, NOT_SENT) else InDoubt
    return kind(f"{what}: {type(error).__name__}")


def _success(what: str, reply: httpx.Response) -> httpx.Response:
    if reply.is_success:
        return reply
    raise _meaning(reply.status_code)(f"{what}: {reply.status_code} {_detail(reply)}")


def _meaning(status: int) -> type[CallError]:
    if status in TRY_LATER:
        return Retriable
    return Rejected if 400 <= status < 500 else InDoubt
    # --8<-- [end:meaning]


def _detail(reply: httpx.Response) -> str:
    try:
        return str(reply.json().get("detail", ""))
    except (ValueError, AttributeError):
        return ""


@dataclass(frozen=True)
class Participant:
    """A service that keeps one row a course (`registry`): member or board.

    Attributes:
        http: See `client`.
        url: Where its rows are, such as http://127.0.0.1:8001/managers.
    """

    http: httpx.AsyncClient
    url: str

    async def register(self, course_id: str, name: str) -> None:
        """Idempotent."""
        await call(self.http, "PUT", f"{self.url}/{course_id}", json={"name": name})

    async def cancel(self, course_id: str) -> None:
        """Idempotent; succeeds when there is nothing, and then refuses the late `register`."""
        await call(self.http, "DELETE", f"{self.url}/{course_id}")


@dataclass(frozen=True)
class ParticipantSync:
    """`Participant` for threads."""

    http: httpx.Client
    url: str

    def register(self, course_id: str, name: str) -> None:
        """Idempotent."""
        call_sync(self.http, "PUT", f"{self.url}/{course_id}", json={"name": name})

    def cancel(self, course_id: str) -> None:
        """Idempotent; succeeds when there is nothing, and then refuses the late `register`."""
        call_sync(self.http, "DELETE", f"{self.url}/{course_id}")
