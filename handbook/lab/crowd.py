"""Many sessions at once: each a thread with a connection of its own, and how their calls ended."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import psycopg

from handbook.errors import UsageError
from handbook.lab.database import Database
from handbook.lab.waiting import DeadlinePassedError, passed
from handbook.lab.workspace import Workspace

PATIENCE = 15.0  # seconds until a thread that waits for others gives up
Work = Callable[[psycopg.Connection], object]


@dataclass(frozen=True)
class Tally:
    """How the calls of a crowd ended.

    Attributes:
        done: Calls that returned.
        refused: Calls that raised, by SQLSTATE, or by the error's name where it has none.
    """

    done: int
    refused: Mapping[str, int]


class Meeting:
    """A checkpoint where threads wait for each other: all have come to `point`, then all go on.

    Args:
        point: The name of the point; others are passed.
        parties: How many threads.
        first_only: A thread waits at its first arrival only, so that a retry passes.
        patience: Seconds to wait for the others.
    """

    def __init__(
        self, point: str, parties: int, *, first_only: bool = False, patience: float = PATIENCE
    ) -> None:
        self.point = point
        self._patience = patience
        self._barrier = threading.Barrier(parties, timeout=patience)
        self._first_only = first_only
        self._mine = threading.local()

    def __call__(self, name: str) -> None:
        """Wait, if this is the point.

        Raises:
            DeadlinePassedError: the others did not come.
        """
        if name != self.point or (self._first_only and getattr(self._mine, "met", False)):
            return
        self._mine.met = True
        try:
            self._barrier.wait()
        except threading.BrokenBarrierError as error:
            what = f"{self._barrier.parties} threads to come to `{self.point}`"
            raise passed(what, self._patience, "fewer") from error


def all_at_once(
    database: Workspace | Database,
    works: Sequence[Work],
    *,
    times: int = 1,
    refusals: tuple[type[Exception], ...] = (psycopg.Error,),
) -> Tally:
    """Run every work `times` times in a session of its own, all at once, and count.

    Args:
        database: Where; the sessions are in autocommit mode.
        works: One a session; each gets its connection. The same work may be there many times.
        times: Calls of each.
        refusals: Errors that are counted; the first of any other kind is raised at the end.
    """
    if not works or times < 1:
        raise UsageError("a crowd of nobody proves nothing", "give at least one work, once")
    with contextlib.ExitStack() as closing, ThreadPoolExecutor(len(works)) as pool:
        sessions = [closing.enter_context(database.connect()) for _ in works]
        calls = [
            pool.submit(_repeat, *call, times, refusals)
            for call in zip(works, sessions, strict=True)
        ]
    errors = [error for call in calls if (error := call.exception())]
    if errors:  # the cause, not those who waited for it in vain
        raise min(errors, key=lambda error: isinstance(error, DeadlinePassedError))
    counts = sum((call.result() for call in calls), Counter[str]())
    return Tally(counts.pop("", 0), dict(sorted(counts.items())))


def _repeat(
    work: Work, conn: psycopg.Connection, times: int, refusals: tuple[type[Exception], ...]
) -> Counter[str]:
    return Counter(_outcome(work, conn, refusals) for _ in range(times))


def _outcome(work: Work, conn: psycopg.Connection, refusals: tuple[type[Exception], ...]) -> str:
    try:
        work(conn)
    except refusals as error:
        return getattr(error, "sqlstate", None) or type(error).__name__
    return ""
