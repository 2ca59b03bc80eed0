"""Three services on servers of their own, everything of which may be broken, and their clients."""

from __future__ import annotations

import contextlib
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid5

import httpx

from handbook.errors import StackError
from handbook.lab import Child, Database, Proxy, Workspace, until, wait_until
from handbook.lab.waiting import DeadlinePassedError
from handbook.stack import Stack, embedded, jars, kafka, postgres, processes, state
from handbook.stack.faults import EmbeddedFaults
from snippets.services.course_app import COURSES

HTTP = ("member", "board", "course")
EVENTS = ("member_events", "board_events", "course_events")
PATHS = {"member": "managers", "board": "boards"}
ON_LEAVE = "이휴가"
# Undoing these courses at the member service fails for ever.
FREEZE = """
CREATE TABLE frozen (course_id text PRIMARY KEY);
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM frozen WHERE course_id = NEW.course_id) THEN
        RAISE EXCEPTION 'frozen';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER frozen BEFORE INSERT ON tombstone FOR EACH ROW EXECUTE FUNCTION refuse();
"""


@contextlib.contextmanager
def own_stack() -> Iterator[Stack]:
    """PostgreSQL and Kafka of a test's own, which it may kill."""
    home = Path(tempfile.mkdtemp(prefix="handbook-")).resolve()
    home.chmod(0o755)  # PostgreSQL does not run as root: its user must get in
    try:
        jars.fetch()
        known = state.create(home, brokers=1)
        node = known.nodes[0]
        with ThreadPoolExecutor(2) as pool:
            database = pool.submit(postgres.up, home, known)
            broker = pool.submit(kafka.up, home, known.nodes, node, peers=known.nodes)
        database.result()
        broker.result()
        yield replace(embedded.describe(known), faults=EmbeddedFaults(home))
    finally:
        folders = [postgres.data_folder(home), *home.glob("kafka[0-9]*")]
        processes.stop(folders, signal.SIGKILL, 10)
        shutil.rmtree(home, ignore_errors=True)


@dataclass
class Town:
    """The services as processes, a proxy before each, and a supervisor that restarts the dead."""

    stack: Stack
    workspace: Workspace
    events: bool
    children: dict[str, Child] = field(default_factory=dict)
    proxies: dict[str, Proxy] = field(default_factory=dict)
    watching: threading.Lock = field(default_factory=threading.Lock)

    def database(self, service: str) -> Database:
        """Of one service."""
        return self.workspace.database(service)

    def fetch(self, service: str, query: str) -> list[tuple[Any, ...]]:
        """All rows, asked in a new session: an older one may have died with its server."""
        with self.database(service).connect() as conn:
            return conn.execute(query.encode()).fetchall()

    def open(self, closing: contextlib.ExitStack) -> None:
        """Start everything."""
        ports = dict(zip(HTTP, state.free_ports(len(HTTP)), strict=True))
        self.proxies = {one: closing.enter_context(Proxy(ports[one])) for one in HTTP}
        names = ("course", "member", "board", "dead-letters")
        topics = {name: self.workspace.topic(name) for name in names}
        for service in ("member", "board"):
            self._start(service, "service.ready", service, port=ports[service])
        settings = {one: f"{self.proxies[one].url}/{PATHS[one]}" for one in ("member", "board")}
        # Patience for longer than any fault lasts: what goes to people is what never succeeds.
        fast = {"attempts": 10, "lease": 8.0, "limit": 2.0, "topic": topics["course"]}
        more = {"port": ports["course"], "settings": {**settings, **fast}}
        self._start("course", "service.ready", "course", **more)
        self.database("member").execute("INSERT INTO on_leave VALUES (%s)", [ON_LEAVE])
        self.database("member").execute(FREEZE)
        if self.events:
            for name in EVENTS:
                more = {"kafka": self.workspace.kafka, "topics": topics}
                self._start(name, "consumer.assigned.0", name.removesuffix("_events"), **more)

    def _start(self, name: str, ready: str, service: str, **kwargs: Any) -> None:
        target = f"snippets.services.{name if name in EVENTS else name + '_app'}:main"
        settings = {"dsn": self.database(service).dsn, **kwargs}
        self.children[name] = self.workspace.start(target, kwargs=settings)
        self.children[name].wait_for(ready)

    def revive(self) -> None:
        """Start again what is dead; what cannot start yet dies again and is found the next time."""
        with self.watching:
            for child in self.children.values():
                if not child.alive:
                    child.restart()

    def settled(self) -> bool:
        """Whether nothing is under way any more."""
        self.revive()
        unfinished = """
            SELECT (SELECT count(*) FROM course c WHERE state <> 'open' AND NOT EXISTS (
                        SELECT FROM saga s WHERE s.id::text = c.id AND s.state = 'stuck'))
                 + (SELECT count(*) FROM saga WHERE state IN ('running', 'compensating'))
                 + (SELECT count(*) FROM course_creation WHERE state IN ('running', 'cancelling'))
        """
        boxes = ("course", "member", "board") if self.events else ("course",)
        waiting = [self.fetch(one, "SELECT count(*) FROM outbox") for one in boxes]
        return [*waiting, self.fetch("course", unfinished)] == [[(0,)]] * (len(boxes) + 1)

    def drain(self) -> None:
        """Wait until nothing is under way any more."""
        for proxy in self.proxies.values():
            proxy.heal()
        wait_until(self._settled_or_not_there_yet, deadline=60, what="everything to settle")

    def _settled_or_not_there_yet(self) -> bool:
        with contextlib.suppress(StackError):
            return self.settled()
        return False

    def places(self, service: str) -> dict[str, int]:
        """How often each course is there; one of the course service only when it is open."""
        query = "SELECT course_id, count(*) FROM registration GROUP BY 1"
        if service == "course":
            query = "SELECT id, count(*) FROM course WHERE state = 'open' GROUP BY 1"
        return dict(self.fetch(service, query))


@dataclass
class Answers:
    """What clients were told, by course."""

    attempted: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    frozen: set[str] = field(default_factory=set)


class Client:
    """Asks for a course until it knows how that ended; every repeat has the same key."""

    def __init__(self, town: Town, http: httpx.AsyncClient, style: str, answers: Answers) -> None:
        self.url = town.proxies["course"].url
        self.http = http
        self.style = style
        self.answers = answers

    async def create(self, key: str, manager: str, *, patience: float = 60.0) -> None:
        """One intent; after a refusal nothing is to be left of it."""
        course = str(uuid5(COURSES, key))
        self.answers.attempted.add(course)
        with contextlib.suppress(DeadlinePassedError):
            verdict = await until(partial(self._answer, key, manager, course), deadline=patience)
            told = self.answers.acknowledged if verdict == "made" else self.answers.refused
            told.add(course)

    async def _answer(self, key: str, manager: str, course: str) -> str | None:
        """How it ended; None when that is not known yet."""
        try:
            verdict = await self._ask(key, manager)
            if verdict == "made" and self.style == "events":
                return await self._follow(course)
        except httpx.TransportError:
            return None
        return verdict

    async def _ask(self, key: str, manager: str) -> str | None:
        body = {"title": f"과정 {key}", "manager": manager, "style": self.style}
        reply = await self.http.post(
            f"{self.url}/courses", json=body, headers={"Idempotency-Key": key}
        )
        if reply.is_success:
            return "made"
        again = reply.json().get("again", "same key")
        return None if again == "same key" else "refused"

    async def _follow(self, course: str) -> str | None:
        """The end of a creation by events."""
        reply = await self.http.get(f"{self.url}/courses/{course}/creation")
        ends = {"completed": "made", "failed": "refused"}
        return ends.get(reply.json().get("state")) if reply.is_success else None
