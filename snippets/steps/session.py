"""A session on a thread of its own: it may wait while others go on."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import Connection, Cursor

from snippets.steps.script import Step
from snippets.steps.transcript import Line, State, written


@dataclass(frozen=True)
class Reply:
    """What the server said to a statement."""

    result: str | None = None
    sqlstate: str | None = None


class Session:
    """Has at most one step at a time; `waits_for` is the session that holds what it needs."""

    step: Step
    reply: Future[Reply]

    def __init__(self, name: str, dsn: str) -> None:
        self.name = name
        self.waits_for: str | None = None
        self._conn = psycopg.connect(dsn, autocommit=True)
        self.pid = self._conn.info.backend_pid
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    def start(self, step: Step) -> None:
        """Send a step; returns at once."""
        self.step = step
        self.reply = self._thread.submit(ask, self._conn, step.sql)

    def answered(self) -> Line:
        """The line of a step that has its reply; the session waits no more."""
        reply = self.reply.result()
        went_on: State = "resumed" if self.waits_for else "ran"
        self.waits_for = None
        state = "error" if reply.sqlstate else went_on
        name, sql = self.step.name, self.step.sql
        return Line(name, self.name, sql, state, result=reply.result, sqlstate=reply.sqlstate)

    def waiting(self, blocker: str) -> Line:
        """The line of a step that waits for a session."""
        self.waits_for = blocker
        return Line(self.step.name, self.name, self.step.sql, "waiting", waits_for=blocker)

    def close(self) -> None:
        """Cancel what runs, and disconnect."""
        if hasattr(self, "reply") and not self.reply.done():
            self._conn.cancel_safe()
        self._thread.shutdown()
        self._conn.close()

    def __str__(self) -> str:
        return f"{self.name} still waits for {self.waits_for} with `{self.step.name}`"


def ask(conn: Connection[Any], sql: str) -> Reply:
    """Run a statement; an error of the statement is a reply, one of the connection is raised."""
    try:
        cursor = conn.execute(sql.encode())
    except psycopg.Error as error:
        if error.sqlstate is None:
            raise
        return Reply(sqlstate=error.sqlstate)
    return Reply(result=_result(cursor, sql))


def _result(cursor: Cursor[Any], sql: str) -> str | None:
    if cursor.description:
        return written(cursor.fetchall()) or None  # a function that returns void
    tag = cursor.statusmessage or ""
    return None if sql.strip().upper().startswith(tag) else tag
