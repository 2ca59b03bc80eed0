"""What the course service creates courses with: its database, and the way to member and board."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from psycopg_pool import AsyncConnectionPool

from snippets.checkpoint import Checkpoint, nothing
from snippets.course_creation import CourseCreation
from snippets.outbox import Doorbell, doorbell
from snippets.retry import Policy
from snippets.services.gateways import Participant, client
from snippets.services.sagas import Sagas


@dataclass(frozen=True)
class Means:
    """For `creating`.

    Attributes:
        pool: The course service's own database.
        member: Where managers (담당자) are registered.
        board: Where boards (게시판) are opened.
        sagas: Runs the sagas of this process.
        creation: What a creation by events is started with.
        bell: Wakes the relay after a commit.
        policy: How often each call is made.
        at: Fault points.
    """

    pool: AsyncConnectionPool
    member: Participant
    board: Participant
    sagas: Sagas
    creation: CourseCreation
    bell: Doorbell
    policy: Policy
    at: Checkpoint = nothing


@asynccontextmanager
async def means(
    dsn: str,
    pool: AsyncConnectionPool,
    member: str,
    board: str,
    *,
    topic: str = "course",
    policy: Policy | None = None,
    at: Checkpoint = nothing,
) -> AsyncIterator[Means]:
    """Everything.

    Args:
        dsn: The course service's own database.
        pool: Its connections, open.
        member: URL of the managers.
        board: URL of the boards.
        topic: Where the course service speaks.
        policy: How often each call is made.
        at: Fault points.
    """
    policy = policy or Policy()
    async with client() as http, doorbell(dsn) as bell:
        parts = Participant(http, member), Participant(http, board)
        sagas = Sagas(dsn, *parts, policy=policy, at=at)
        async with aclosing(sagas):
            yield Means(pool, *parts, sagas, CourseCreation(topic, at=at), bell, policy, at)
