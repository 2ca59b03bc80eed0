"""The sagas of one process: no connection of the pool waits for another service.

All write their log on one connection. What a dead process, or a connection that was lost, has left
is taken up by `resume`, on another: what this process is at work on is locked by the first.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.errors import UniqueViolation
from psycopg.rows import class_row

from snippets.checkpoint import Checkpoint, nothing
from snippets.retry import Policy
from snippets.saga import Coordinator, Outcome
from snippets.services.catalogue import Course
from snippets.services.course_saga import create_course
from snippets.services.gateways import Participant

ENDING = "SELECT state, rejected, reason FROM saga WHERE id = %s"


@dataclass(frozen=True)
class Ending:
    """Where a saga stands, and why it turned back."""

    state: str
    rejected: bool | None = None
    reason: str | None = None


class Sagas:
    """Creates courses; `aclose` it at the end.

    Attributes:
        left: Set when something waits for `resume`.
    """

    def __init__(
        self,
        dsn: str,
        member: Participant,
        board: Participant,
        *,
        policy: Policy | None = None,
        at: Checkpoint = nothing,
    ) -> None:
        self.left = asyncio.Event()
        self._dsn = dsn
        self._parts = member, board
        self._policy = policy
        self._at = at
        self._log: AsyncConnection | None = None
        self._opening = asyncio.Lock()

    # --8<-- [start:create]
    async def create(self, course: Course) -> Ending:
        """Run the course's saga, unless there is one; where it stands then."""
        conn = await self._connection()
        try:
            known = await _ending(conn, course.id)
            if known is None:
                await self._run(conn, course)
                known = await _ending(conn, course.id)
        except BaseException:  # the log's connection was lost, or our time is over
            self.left.set()
            raise
        assert known is not None
        if known.state in {"running", "compensating"}:
            self.left.set()
        return known

    async def _run(self, conn: AsyncConnection, course: Course) -> None:
        create = create_course(conn, *self._parts)
        coordinator = Coordinator(conn, policy=self._policy, at=self._at)
        try:
            await coordinator.run(create, UUID(course.id), asdict(course))
        except UniqueViolation:
            return  # another process was quicker
        # --8<-- [end:create]

    # --8<-- [start:resume]
    async def resume(self, *, stuck: bool = False) -> dict[UUID, Outcome]:
        """End the sagas that nobody works on; `stuck`: those that were left to people."""
        async with await AsyncConnection.connect(self._dsn, autocommit=True) as conn:
            coordinator = Coordinator(conn, policy=self._policy, at=self._at)
            return await coordinator.resume([create_course(conn, *self._parts)], stuck=stuck)
        # --8<-- [end:resume]

    async def aclose(self) -> None:
        """Give all sagas back."""
        if self._log is not None:
            await self._log.close()

    async def _connection(self) -> AsyncConnection:
        async with self._opening:
            if self._log is None or self._log.closed:
                self._log = await AsyncConnection.connect(self._dsn, autocommit=True)
            return self._log


async def _ending(conn: AsyncConnection, course_id: str) -> Ending | None:
    async with conn.cursor(row_factory=class_row(Ending)) as cursor:
        return await (await cursor.execute(ENDING, (course_id,))).fetchone()
