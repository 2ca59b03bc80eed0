"""Plays a permutation: one step at a time, and none before all sessions are accounted for."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.errors import LockNotAvailable
from psycopg.rows import dict_row

from snippets.errors import InDoubt, Rejected
from snippets.steps.script import Script, Step
from snippets.steps.session import Session
from snippets.steps.transcript import Line, Row, Transcript, plain

# Takes no lock that a session could wait for.
BLOCKING = "SELECT pg_blocking_pids(%s)"
PATIENCE = "SELECT set_config('lock_timeout', %s, false)"
POLL = 0.002  # seconds in which most steps answer; who does not is asked after


class Stuck(Rejected):
    """The permutation cannot go on: a session waits for a lock that no step before releases."""


class Overdue(InDoubt):
    """A step neither answered nor waits for another session, and its deadline has passed."""


# --8<-- [start:run]
def run(dsn: str, script: Script, permutation: str, *, deadline: float = 10.0) -> Transcript:
    """Play `permutation` on sessions of its own.

    Args:
        dsn: A role that may do what the script does.
        script: Setup, sessions and steps.
        permutation: Names of steps, separated by blanks.
        deadline: Seconds in which each step must answer, or wait for another session.

    Raises:
        ValueError: the permutation names a step that does not exist; no deadline.
        Stuck: a session that waits has the next step, or still waits at the end; or a step locks
            what `rows` reads.
        Overdue: a step neither answered nor waited.
    """
    order = script.order(permutation)
    if deadline <= 0:
        raise ValueError(f"deadline={deadline}: give each step more than 0 seconds")
    with ExitStack() as stack:
        observer = stack.enter_context(psycopg.connect(dsn, autocommit=True))
        observer.execute(PATIENCE, (f"{deadline}s",))
        observer.execute(script.setup.encode())
        sessions = {
            name: stack.enter_context(closing(Session(name, dsn))) for name in script.sessions
        }
        stage = Stage(observer, script.rows, sessions, deadline)
        for step in order:
            stage.play(step)
        stage.end()
    return Transcript(tuple(sessions), tuple(stage.lines))
    # --8<-- [end:run]


class Stage:
    """The sessions of a run, who of them waits, and the lines so far."""

    def __init__(
        self,
        observer: Connection[Any],
        rows: str,
        sessions: Mapping[str, Session],
        deadline: float,
    ) -> None:
        self.lines: list[Line] = []
        self._observer = observer
        self._query = rows
        self._sessions = sessions
        self._deadline = deadline
        self._waiting: list[Session] = []

    # --8<-- [start:play]
    def play(self, step: Step) -> None:
        """Send a step; return when each session has answered or is known to wait."""
        session = self._sessions[step.session]
        if session in self._waiting:
            raise Stuck(f"{session}: play `{step.name}` after the step that ends that")
        session.start(step)
        news = [self._look(session)]
        while more := self._look_again():
            news.append(more)
        rows = self._rows()
        self.lines += [replace(line, rows=rows) for line in news if line]

    def _look(self, session: Session) -> Line | None:
        """The answer to a session, or whom it waits for; None when that is known already."""
        last = time.monotonic() + self._deadline
        while time.monotonic() < last:
            if wait([session.reply], POLL).done:
                return self._answered(session)
            blocker = self._blocker(session)
            if blocker and blocker == session.waits_for:
                return None
            if blocker:
                return self._waits(session, blocker)
        raise self._overdue(session)

    def _look_again(self) -> Line | None:
        """News of one that waited: an answer, or another session to wait for."""
        for session in self._waiting:
            if line := self._look(session):
                return line
        if not self._deadlocked():
            return None
        # PostgreSQL looks for deadlocks, and ends one, after `deadlock_timeout`.
        if not wait([one.reply for one in self._waiting], self._deadline, FIRST_COMPLETED).done:
            raise Overdue(
                f"{self._waiting[0]}, in a deadlock: give it a deadline longer than "
                "PostgreSQL's deadlock_timeout"
            )
        return self._look_again()
        # --8<-- [end:play]

    def end(self) -> None:
        """Leave nobody waiting.

        Raises:
            Stuck: somebody waits.
        """
        for session in self._waiting:
            raise Stuck(f"{session} at the end: let {session.waits_for} commit or roll back")

    def _answered(self, session: Session) -> Line:
        if session.waits_for:
            self._waiting.remove(session)
        return session.answered()

    def _waits(self, session: Session, blocker: str) -> Line:
        if not session.waits_for:
            self._waiting.append(session)
        return session.waiting(blocker)

    def _blocker(self, session: Session) -> str | None:
        found = self._observer.execute(BLOCKING, (session.pid,)).fetchone()
        assert found is not None
        return next((one.name for one in self._sessions.values() if one.pid in found[0]), None)

    def _deadlocked(self) -> bool:
        """Whether the way from one who waits to whom it waits for, and on, never ends."""
        waits_for = {session.name: session.waits_for for session in self._waiting}
        for on in waits_for.values():
            for _ in waits_for:
                on = waits_for.get(on or "")
            if on:
                return True
        return False

    def _rows(self) -> tuple[Row, ...]:
        with self._observer.cursor(row_factory=dict_row) as cursor:
            try:
                rows = cursor.execute(self._query.encode()).fetchall()
            except LockNotAvailable as error:
                raise Stuck("a step locks what `rows` reads: read other tables there") from error
        return tuple({name: plain(value) for name, value in row.items()} for row in rows)

    def _overdue(self, session: Session) -> Overdue:
        return Overdue(
            f"`{session.step.name}` of {session.name} took {self._deadline:g} s and waits for no "
            "other session: let it do less, or give it a longer deadline"
        )
