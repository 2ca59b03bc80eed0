"""Version file: operations that arrive swapped, repeated and at once are applied as numbered."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from psycopg import AsyncConnection

from handbook.lab import Database, Workspace
from snippets import version_file
from snippets.naive import no_countermeasure
from snippets.version_file import Gap, Operation, due, waiting

pytestmark = pytest.mark.stack
ENROL = Operation("김멤버", 1, "enrol")
CANCEL = Operation("김멤버", 2, "cancel")
ENROL_AGAIN = Operation("김멤버", 3, "enrol")


@pytest.fixture
def board(shared: Workspace) -> Database:
    """A board that keeps who may write, as the member service tells it."""
    made = shared.database("board")
    made.execute("DROP TABLE IF EXISTS writer, version_file, version_mark")
    made.execute(version_file.CREATE_TABLE)
    made.execute("CREATE TABLE writer (member text PRIMARY KEY)")
    return made


async def perform(conn: AsyncConnection, operation: Operation) -> None:
    """Two operations whose order matters."""
    sql = "DELETE FROM writer WHERE member = %s"
    if operation.body == "enrol":
        sql = "INSERT INTO writer VALUES (%s) ON CONFLICT DO NOTHING"
    await conn.execute(sql, (operation.record_id,))


async def receive(board: Database, arrived: Operation) -> list[int]:
    """File and perform, in one transaction; the numbers that were due."""
    async with await board.aconnect(autocommit=False) as conn:
        ready = await due(conn, arrived)
        for operation in ready:
            await perform(conn, operation)
    return [operation.number for operation in ready]


async def test_zombie_stays_when_operations_apply_as_they_arrive(board: Database) -> None:
    """The cancel comes first and finds nothing; the enrolment stays for ever."""
    async with await board.aconnect() as conn:
        for arrived in (CANCEL, ENROL):
            for operation in await no_countermeasure.due(conn, arrived):
                await perform(conn, operation)
    assert board.fetch("TABLE writer") == [("김멤버",)]


async def test_cancel_waits_when_it_comes_before_what_it_cancels(board: Database) -> None:
    """The same arrivals: the cancel is filed, and performed after the enrolment."""
    assert await receive(board, CANCEL) == []
    assert await receive(board, ENROL) == [1, 2]
    assert board.fetch("TABLE writer") == []


@pytest.mark.parametrize("order", list(itertools.permutations((ENROL, CANCEL, ENROL_AGAIN))))
async def test_result_is_the_same_when_operations_are_swapped(
    board: Database, order: tuple[Operation, ...]
) -> None:
    """Whatever the order, and each of them twice: once performed, in the order of the numbers."""
    performed = [number for one in (*order, *order) for number in await receive(board, one)]
    assert performed == [1, 2, 3]
    assert board.fetch("TABLE writer") == [("김멤버",)]
    assert board.fetch("TABLE version_file") == []


async def test_operation_is_due_once_when_all_arrive_at_once(board: Database) -> None:
    """Twelve transactions at the same time, four of each."""
    arrivals = [ENROL, CANCEL, ENROL_AGAIN] * 4
    performed = await asyncio.gather(*(receive(board, one) for one in arrivals))
    assert sorted(itertools.chain.from_iterable(performed)) == [1, 2, 3]
    assert board.fetch("TABLE writer") == [("김멤버",)]


async def test_gap_is_told_when_an_operation_is_missing(board: Database) -> None:
    """Two wait for the second; another record is not held up by them."""
    for arrived in (ENROL, ENROL_AGAIN, Operation("김멤버", 4, "cancel")):
        await receive(board, arrived)
    assert await receive(board, Operation("이멤버", 1, "enrol")) == [1]
    async with await board.aconnect() as conn:
        assert await waiting(conn) == [Gap("김멤버", missing=2, waiting=2)]


async def test_operation_is_due_again_when_its_transaction_rolled_back(board: Database) -> None:
    """The file is part of the transaction: what was not performed has not been handed out."""
    async with await board.aconnect(autocommit=False) as conn:
        assert await due(conn, ENROL) == [ENROL]
        await conn.rollback()
    assert await receive(board, ENROL) == [1]


def test_operation_is_refused_when_its_number_is_none() -> None:
    """Numbers begin with 1."""
    with pytest.raises(ValueError, match="begin with 1"):
        Operation("김멤버", 0, "enrol")
