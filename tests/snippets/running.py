"""The services as processes of their own, each on its own database.

Starting a service and its database takes longer than most tests: they live as long as the test run,
and every test finds their tables empty.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from handbook.lab import Child, Database, Proxy, Workspace, wait_until
from handbook.stack import Stack
from snippets.services import migrate
from snippets.services.gateways import Participant, client

# Reading the certificates of the world takes longer than a request.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
WORKING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'
"""
TABLES = """
SELECT string_agg(format('%I', relname), ', ') FROM pg_stat_user_tables
WHERE relname <> 'schema_migration'
"""


@dataclass(frozen=True)
class Service:
    """A running service and its database."""

    url: str
    database: Database
    process: Child

    def logged(self, correlation_id: str) -> list[dict[str, Any]]:
        """What the service has written to its log about one request."""
        whole = self.process.output.split("\n")[:-1]
        found = [
            json.loads(line) for line in whole if line.startswith("{") and correlation_id in line
        ]
        return [line for line in found if line["correlation_id"] == correlation_id]


def start(
    workspace: Workspace,
    name: str,
    *,
    database: Database | None = None,
    stop_at: str | None = None,
    **kwargs: object,
) -> Service:
    """The service as a process that listens; on a database of its own if none is given."""
    database = database or workspace.database(name)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings = {"dsn": database.dsn, "port": port, **kwargs}
    target = f"snippets.services.{name}_app:main"
    process = workspace.start(target, kwargs=settings, stop_at=stop_at)
    process.wait_for("service.ready")
    return Service(f"http://127.0.0.1:{port}", database, process)


class Scissors(Proxy):
    """Cuts the line once, at a piece of the replies that was chosen before."""

    _pieces_left = 0

    def cut(self, piece: int) -> None:
        """The given piece, counted from now, does not arrive, nor anything after it; 0: all do."""
        self._pieces_left = piece

    async def _replies(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while piece := await source.read(65536):
            if self._pieces_left == 1:
                self._pieces_left, self.faults = 0, self.faults + 1
                return
            self._pieces_left = max(0, self._pieces_left - 1)
            sink.write(piece)
            await sink.drain()


class Fleet:
    """Services and databases for one test after the other; each is started when it is asked for."""

    def __init__(self, stack: Stack) -> None:
        self._workspace = Workspace.create(stack, "services")
        self._services: dict[str, Service] = {}
        self._proxies: dict[str, Proxy] = {}
        self._closing = contextlib.ExitStack()
        self._closing.callback(self._workspace.close)

    def service(self, name: str, **kwargs: Any) -> Service:
        """Running, at rest, with empty tables."""
        known = self._services.get(name)
        if known is None or not known.process.alive:
            known = self._services[name] = start(self._workspace, name, **kwargs)
        known.process.resume()
        # What an earlier test has sent is answered before this is, or at work in the database.
        httpx.get(f"{known.url}/health/ready", timeout=10, verify=NO_TLS).raise_for_status()
        _empty(known.database)
        return known

    def database(self, name: str) -> Database:
        """The database of a service, with empty tables; nobody serves it."""
        database = self._workspace.database(f"{name}-alone")
        if not database.value("SELECT to_regclass('schema_migration')"):
            for script in migrate.files(name).values():
                database.execute(script)
            database.execute(migrate.CREATE_TABLE)
        _empty(database)
        return database

    def proxy(self, name: str) -> Proxy:
        """Stands before the service of that name, which runs; healed, no fault counted."""
        port = httpx.URL(self._services[name].url).port
        assert port is not None
        known = self._proxies.get(name)
        if known is None:
            known = self._proxies[name] = self._closing.enter_context(Proxy(port))
        known.target, known.faults = port, 0
        known.heal()
        return known

    def close(self) -> None:
        """Stop everything."""
        self._closing.close()


def _empty(database: Database) -> None:
    wait_until(lambda: database.value(WORKING) == 0, what="the service to be at rest")
    if tables := database.value(TABLES):
        database.execute(f"TRUNCATE {tables} CASCADE")


@dataclass(frozen=True)
class World:
    """The database of course, the services member and board, and a proxy before each of them."""

    workspace: Workspace
    course: Database
    member: Service
    board: Service
    to_member: Proxy
    to_board: Proxy

    @property
    def urls(self) -> dict[str, str]:
        """How the course service reaches the others."""
        return {
            "member": f"{self.to_member.url}/managers",
            "board": f"{self.to_board.url}/boards",
        }

    @asynccontextmanager
    async def participants(self) -> AsyncIterator[tuple[Participant, Participant]]:
        """Member and board, as the course service calls them."""
        async with client() as http:
            yield Participant(http, self.urls["member"]), Participant(http, self.urls["board"])

    def verdict(self) -> dict[str, list[str]]:
        """Ids of courses: where each is to be found."""
        kept = "SELECT course_id FROM registration ORDER BY 1"
        return {
            "pending": _ids(self.course.fetch("SELECT id FROM course WHERE state <> 'open'")),
            "open": _ids(self.course.fetch("SELECT id FROM course WHERE state = 'open'")),
            "managers": _ids(self.member.database.fetch(kept)),
            "boards": _ids(self.board.database.fetch(kept)),
        }


def _ids(rows: list[tuple[Any, ...]]) -> list[str]:
    return sorted(row[0] for row in rows)


@dataclass(frozen=True)
class Trio(World):
    """The three services; `course` is the database of the running course service."""

    service: Service

    async def post(
        self, http: httpx.AsyncClient, key: str, style: str = "saga", **fields: object
    ) -> httpx.Response:
        """Ask for a course."""
        return await post(http, self.service, key, style, **fields)


async def post(
    http: httpx.AsyncClient, service: Service, key: str, style: str = "saga", **fields: object
) -> httpx.Response:
    """Ask a course service for a course."""
    body = {"title": "사가 입문", "manager": "김담당", "style": style, **fields}
    headers = {"Idempotency-Key": key}
    return await http.post(f"{service.url}/courses", json=body, headers=headers)


NOTHING: dict[str, list[str]] = {"pending": [], "open": [], "managers": [], "boards": []}


def complete(*courses: str) -> dict[str, list[str]]:
    """The verdict when these courses are in all three databases."""
    ids = sorted(courses)
    return {"pending": [], "open": ids, "managers": ids, "boards": ids}
