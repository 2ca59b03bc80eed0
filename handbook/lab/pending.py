"""A call that has to wait for another session, and proof that it does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Concatenate, Generic, ParamSpec, TypeVar

import psycopg

from handbook.errors import CheckFailedError
from handbook.lab.database import Database
from handbook.lab.waiting import wait_until
from handbook.lab.workspace import Workspace

Params = ParamSpec("Params")
Result = TypeVar("Result")


class DidNotWaitError(CheckFailedError):
    """A call was to wait for another session, and ended."""


class Pending(Generic[Result]):
    """`act(conn, ...)` in a thread of its own, begun at once.

    Args:
        database: Where the sessions are.
        act: What is done.
        conn: Its session; nobody else uses it until the call has ended.
        args: Further arguments of `act`.
        kwargs: Further arguments of `act`.
    """

    def __init__(
        self,
        database: Workspace | Database,
        act: Callable[Concatenate[psycopg.Connection, Params], Result],
        conn: psycopg.Connection,
        *args: Params.args,
        **kwargs: Params.kwargs,
    ) -> None:
        self._database = database
        self._pid = conn.info.backend_pid
        self._ended: Future[Result] = Future()

        def run() -> None:
            try:
                self._ended.set_result(act(conn, *args, **kwargs))
            except BaseException as error:
                self._ended.set_exception(error)

        threading.Thread(target=run, daemon=True).start()

    def blocked_by(self, deadline: float = 10.0) -> list[int]:
        """Wait until the call waits for a lock; the server processes that it waits for.

        Raises:
            DidNotWaitError: it ended instead.
            DeadlinePassedError: neither, within `deadline` seconds.
        """

        def blockers() -> list[int]:
            pids: list[int] = self._database.value("SELECT pg_blocking_pids(%s)", (self._pid,))
            if not pids and self._ended.done():
                raise DidNotWaitError(
                    f"the call did not wait, it ended: {self._ended}",
                    "look at which lock the other session holds at that moment",
                )
            return pids

        return wait_until(blockers, deadline=deadline, what="the call to wait for a lock")

    def result(self, deadline: float = 10.0) -> Result:
        """What the call returned, or raises what it raised; waits `deadline` seconds for it."""
        return self._ended.result(deadline)

    def sqlstate(self, deadline: float = 10.0) -> str | None:
        """The SQLSTATE of the call's error; None when it succeeded."""
        error = self._ended.exception(deadline)
        if error is None:
            return None
        if isinstance(error, psycopg.Error):
            return error.sqlstate
        raise error
