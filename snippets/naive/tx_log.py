"""Loses what to compensate: it notes a call in memory, and only after the reply has come.

A reply that is lost leaves an orphan at the other service; a crash leaves everything half made.

Proved by:
    E13 tests/snippets/test_saga.py::test_log_in_memory_leaves_an_orphan_for_each_lost_reply
    E14 tests/snippets/test_saga.py::test_log_in_memory_is_gone_when_the_process_is_killed
    E15 tests/snippets/test_saga.py::test_swallowed_compensation_leaves_its_orphan_for_ever
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from psycopg import AsyncConnection

from snippets.checkpoint import Checkpoint, nothing
from snippets.errors import CallError
from snippets.services import catalogue
from snippets.services.catalogue import Course
from snippets.services.gateways import Participant, client

log = logging.getLogger(__name__)


# --8<-- [start:create]
async def create_course(
    conn: AsyncConnection,
    member: Participant,
    board: Participant,
    course: Mapping[str, str],
    *,
    at: Checkpoint = nothing,
) -> bool:
    """Commit first, then call; True if the course was created."""
    tx_log: set[str] = set()
    await catalogue.add(conn, Course(course["id"], course["title"], course["manager"]))
    at("course.committed")
    try:
        await member.register(course["id"], course["manager"])
        tx_log.add("manager")
        at("course.manager_added")
        await board.register(course["id"], course["title"])
        tx_log.add("board")
    except CallError:
        if "board" in tx_log:
            await _compensate(board, course["id"])
        if "manager" in tx_log:
            await _compensate(member, course["id"])
        await catalogue.remove(conn, course["id"])
        return False
    await catalogue.show(conn, course["id"])
    return True
    # --8<-- [end:create]


# --8<-- [start:swallow]
async def _compensate(participant: Participant, course_id: str) -> None:
    """A failure is written to the log, which nobody reads."""
    try:
        await participant.cancel(course_id)
    except CallError as error:
        log.info("compensation failed: %s", error)
        # --8<-- [end:swallow]


async def main(
    dsn: str, member: str, board: str, courses: list[dict[str, str]], *, at: Checkpoint = nothing
) -> None:
    """A process that creates `courses`; it has nothing to resume."""
    async with await AsyncConnection.connect(dsn, autocommit=True) as conn, client() as http:
        await conn.execute(catalogue.CREATE_TABLE)
        for course in courses:
            parts = Participant(http, member), Participant(http, board)
            await create_course(conn, *parts, course, at=at)
        at("saga.idle")
