"""Two campuses with a database each, a coordinator between them, and what happens in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID, uuid4

from handbook.lab import Database, Workspace, until
from snippets import saga, semantic_lock
from snippets.checkpoint import Checkpoint, nothing
from snippets.retry import Policy
from snippets.saga import Coordinator, Outcome, Saga
from snippets.services import campus
from snippets.services.campus import Campus

Result = TypeVar("Result")
Making = Callable[[Campus, Campus], Saga]
COURSE = "c-1"
ONCE = Policy(attempts=1)


@dataclass(frozen=True)
class Campuses:
    """Both databases, with seats of one course; Seoul coordinates."""

    seoul: Database
    busan: Database

    @classmethod
    def make(cls, workspace: Workspace, seoul: int, busan: int) -> Campuses:
        """With so many free seats, and nothing else, whatever was there before."""
        made = cls(workspace.database("seoul"), workspace.database("busan"))
        for database, free in ((made.seoul, seoul), (made.busan, busan)):
            for table in (campus.CREATE_TABLE, semantic_lock.EXTEND_TABLE, saga.CREATE_TABLE):
                database.execute(table)
            database.execute("TRUNCATE seats, seat_change, saga CASCADE")
            database.execute(campus.OFFER, [COURSE, free])
        return made

    @property
    def home(self) -> Database:
        """Where the coordinator keeps its log."""
        return self.seoul

    def free(self) -> tuple[int, int]:
        """What a reader sees who looks at no flag."""
        query = "SELECT free FROM seats"
        return self.seoul.value(query), self.busan.value(query)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[tuple[Campus, Campus]]:
        """Both, for a saga."""
        async with await self.seoul.aconnect() as one, await self.busan.aconnect() as other:
            yield Campus(one), Campus(other)

    async def move(self, making: Making, seats: int, *, at: Checkpoint = nothing) -> Outcome:
        """Run a move from Seoul to Busan to its end."""
        saga_id = uuid4()
        async with self.open() as both, await self.home.aconnect() as conn:
            coordinator = Coordinator(conn, policy=ONCE, at=at)
            return await coordinator.run(making(*both), saga_id, move_of(seats, saga_id))


def move_of(seats: int, saga_id: UUID) -> dict[str, Any]:
    """The data of a move."""
    return {"id": str(saga_id), "course_id": COURSE, "seats": seats}


async def somebody_waits(database: Database) -> None:
    """Until a session there waits for a lock."""
    waits = """
        SELECT count(*) > 0 FROM pg_stat_activity
        WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0
    """
    await until(lambda: database.value(waits), what="somebody who waits for a lock")


def elsewhere(work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """Run `work` to its end in a thread of its own, while the caller stands still."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(work())).result(20)


def once(work: Callable[[], Coroutine[Any, Any, object]]) -> Checkpoint:
    """A checkpoint at which, the first time, `work` is done `elsewhere`."""
    left = [work]

    def at(_: str) -> None:
        if left:
            elsewhere(left.pop())

    return at
