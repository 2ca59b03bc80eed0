"""A course is created as a saga: course, manager (담당자), board (게시판), then it is shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from snippets import saga
from snippets.checkpoint import Checkpoint, nothing
from snippets.retry import Policy
from snippets.saga import Coordinator, Saga, Step
from snippets.services import catalogue
from snippets.services.catalogue import Course
from snippets.services.gateways import Participant, client

CREATE_TABLE = catalogue.CREATE_TABLE


# --8<-- [start:saga]
def create_course(conn: AsyncConnection, member: Participant, board: Participant) -> Saga:
    """The steps, in order; `conn` is the course service's own database, in autocommit mode."""

    async def add(data: Mapping[str, Any]) -> None:
        await catalogue.add(conn, _course(data))

    async def remove(data: Mapping[str, Any]) -> None:
        await catalogue.remove(conn, data["id"])

    async def show(data: Mapping[str, Any]) -> None:
        await catalogue.show(conn, data["id"])

    async def register(data: Mapping[str, Any]) -> None:
        await member.register(data["id"], data["manager"])

    async def unregister(data: Mapping[str, Any]) -> None:
        await member.cancel(data["id"])

    async def open_board(data: Mapping[str, Any]) -> None:
        await board.register(data["id"], data["title"])

    async def close_board(data: Mapping[str, Any]) -> None:
        await board.cancel(data["id"])

    steps = (
        Step("course", add, remove),
        Step("manager", register, unregister),
        Step("board", open_board, close_board),
        Step("show", show, kind="retriable"),
    )
    return Saga("create-course", steps)
    # --8<-- [end:saga]


def _course(data: Mapping[str, Any]) -> Course:
    return Course(data["id"], data["title"], data["manager"], data.get("term"), "saga")


async def main(
    dsn: str,
    member: str,
    board: str,
    courses: list[dict[str, str]],
    *,
    attempts: int = Policy.attempts,
    at: Checkpoint = nothing,
) -> None:
    """A process: end what an earlier one left, then create `courses`, each with its saga's id."""
    async with await AsyncConnection.connect(dsn, autocommit=True) as conn, client() as http:
        await conn.execute(CREATE_TABLE)
        await conn.execute(saga.CREATE_TABLE)
        coordinator = Coordinator(conn, policy=Policy(attempts=attempts), at=at)
        create = create_course(conn, Participant(http, member), Participant(http, board))
        await coordinator.resume([create])
        for course in courses:
            await coordinator.run(create, UUID(course["saga_id"]), course)
        at("saga.idle")
