"""R08: private data, replies that grow and shrink, a column that changes its name under load."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing

import httpx
import msgspec
import psycopg
import pytest
from psycopg import AsyncConnection, errors
from running import Fleet, Service

from handbook.lab import Workspace, until
from handbook.stack import Stack
from snippets import boundary, expand_contract
from snippets.contracts import ContractBroken, Need, problems, read, unmet
from snippets.errors import Rejected
from snippets.expand_contract import (
    CONTRACT,
    EXPAND,
    NEW,
    OLD,
    REQUIRE,
    VALIDATE,
    Release,
    backfill,
)
from snippets.naive import rename_column, shared_schema, strict_reader
from snippets.services import member_release_app
from snippets.services.migrate import migrate


@pytest.fixture(scope="module")
def ground(stack: Stack) -> Iterator[Workspace]:
    """A database for all tests of this module."""
    with closing(Workspace.create(stack, "contracts")) as made:
        yield made


@pytest.fixture
def workspace(ground: Workspace) -> Workspace:
    """Nothing is in it."""
    ground.execute("DROP SCHEMA IF EXISTS public, course, member CASCADE; CREATE SCHEMA public")
    return ground


# A schema and a role for each of two services in one database.


class Shared:
    """The course and the member service in one database, as the roles that they have there."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.dsns = {name: workspace.role(name) for name in ("course", "member")}

    async def build(self, private_schema: Callable[..., Awaitable[None]]) -> None:
        """Schemas, then the migrations of both services."""
        async with await self.workspace.aconnect() as conn:
            for service, dsn in self.dsns.items():
                role = psycopg.conninfo.conninfo_to_dict(dsn)["user"]
                await private_schema(conn, service, str(role))
            await conn.execute("CREATE TABLE course.course (id text, title text)")
            await conn.execute("CREATE TABLE member.manager (course_id text, name text)")
            await conn.execute("INSERT INTO member.manager VALUES ('c-1', '김담당')")

    def ask(self, service: str, query: str) -> list[tuple[object, ...]]:
        """As the role of one service."""
        with psycopg.connect(self.dsns[service], autocommit=True) as conn:
            cursor = conn.execute(query.encode())
            return cursor.fetchall() if cursor.description else []

    def refused(self, service: str, query: str) -> str | None:
        """The SQLSTATE."""
        with pytest.raises(psycopg.Error) as caught:
            self.ask(service, query)
        return caught.value.sqlstate


SELECT = "SELECT name FROM member.manager"
JOIN = """
SELECT title, name FROM course.course JOIN member.manager ON course_id = id
"""


@pytest.fixture
def shared(workspace: Workspace) -> Shared:
    """Two roles that own nothing."""
    return Shared(workspace)


@pytest.mark.stack
async def test_role_is_refused_when_it_reads_another_schema(shared: Shared) -> None:
    """42501 for a SELECT, a JOIN and an UPDATE; each works with what is its own."""
    await shared.build(boundary.private_schema)
    shared.ask("course", "INSERT INTO course.course VALUES ('c-1', '사가 입문')")
    assert shared.ask("course", "SELECT title FROM course.course") == [("사가 입문",)]
    assert shared.ask("member", SELECT) == [("김담당",)]
    foreign = [SELECT, JOIN, "UPDATE member.manager SET name = ''"]
    assert [shared.refused("course", query) for query in foreign] == ["42501"] * 3
    assert shared.refused("member", "CREATE TABLE member.more ()") == "42501"


@pytest.mark.stack
async def test_join_fails_when_the_other_service_renames_its_column(shared: Shared) -> None:
    """The naive twin: it worked yesterday, and breaks with a release of somebody else (42703)."""
    await shared.build(shared_schema.private_schema)
    shared.ask("course", "INSERT INTO course.course VALUES ('c-1', '사가 입문')")
    assert shared.ask("course", JOIN) == [("사가 입문", "김담당")]
    shared.workspace.execute("ALTER TABLE member.manager RENAME COLUMN name TO full_name")
    assert shared.refused("course", JOIN) == "42703"


# Replies of three releases of the member service.


class Manager(msgspec.Struct, frozen=True):
    """What the course service uses."""

    course_id: str
    name: str


NEEDS = [Need("course", "/managers/c-1", Manager)]


@pytest.fixture
def releases(fleet: Fleet) -> dict[str, str]:
    """Where each release of the member service is; all know the manager of c-1."""
    service = fleet.service("member_release")
    service.database.execute("INSERT INTO registration (course_id, name) VALUES ('c-1', '김담당')")
    return {name: f"{service.url}/{name}" for name in member_release_app.RELEASES}


async def reply(http: httpx.AsyncClient, release: str) -> bytes:
    """What a release says of c-1."""
    return (await http.get(f"{release}/managers/c-1")).raise_for_status().content


@pytest.mark.stack
async def test_old_client_reads_on_when_a_field_is_added(
    releases: dict[str, str], http: httpx.AsyncClient
) -> None:
    """The tolerant reader takes both replies for the same, and the contract test is green."""
    first, more = await reply(http, releases["first"]), await reply(http, releases["adds"])
    assert first != more
    assert [read(one, Manager) for one in (first, more)] == [Manager("c-1", "김담당")] * 2
    assert [await unmet(http, releases[name], NEEDS) for name in ("first", "adds")] == [[], []]


@pytest.mark.stack
async def test_strict_client_fails_when_a_field_is_added(
    releases: dict[str, str], http: httpx.AsyncClient
) -> None:
    """The naive twin takes the first reply only."""
    first, more = await reply(http, releases["first"]), await reply(http, releases["adds"])
    assert strict_reader.read(first, Manager) == Manager("c-1", "김담당")
    with pytest.raises(ContractBroken):
        strict_reader.read(more, Manager)


@pytest.mark.stack
async def test_contract_test_is_red_when_a_field_is_removed(
    releases: dict[str, str], http: httpx.AsyncClient
) -> None:
    """It names who needs what, before the release; the client would fail after it."""
    owed = await unmet(http, releases["removes"], NEEDS)
    assert owed == ["course: GET /managers/c-1: name is missing"]
    with pytest.raises(ContractBroken):
        read(await reply(http, releases["removes"]), Manager)


@pytest.mark.stack
async def test_contract_test_fails_when_the_provider_has_no_such_path(
    member: Service, http: httpx.AsyncClient
) -> None:
    """A provider without the data cannot prove anything."""
    with pytest.raises(Rejected):
        await unmet(http, member.url, NEEDS)


class Wide(msgspec.Struct, rename={"seats": "seatCount"}):
    """A need with everything in it."""

    title: str
    seats: int
    tags: list[str]
    manager: Manager
    note: str = ""


def test_every_unmet_field_is_named_when_there_are_many() -> None:
    """Missing, of another type, or wrong further down; optional ones are not owed."""
    content = b'{"title": 7, "tags": ["a", 1], "manager": {"course_id": "c-1"}, "more": null}'
    named = [fault.split(" ")[0].rstrip(":") for fault in problems(content, Wide)]
    assert named == ["title", "seatCount", "tags", "manager"]
    full = b'{"title": "t", "seatCount": 30, "tags": [], "manager": {"course_id": "", "name": ""}}'
    assert problems(full, Wide) == []


@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b"null", b'{"course_id": 1}', b"\xff"])
def test_reply_is_refused_when_it_cannot_be_used(content: bytes) -> None:
    """With the name of the reader; it is no bug of the caller, and a repeat is no help."""
    with pytest.raises(ContractBroken, match="Manager"):
        read(content, Manager)


# A column gets another name.


@pytest.fixture
async def conn(workspace: Workspace) -> AsyncIterator[AsyncConnection]:
    """A course table with one course of the time before."""
    workspace.execute(expand_contract.CREATE_TABLE)
    async with await workspace.aconnect() as made:
        await made.execute(OLD.write.encode(), ("c-0", "김담당"))
        yield made


async def outcome(conn: AsyncConnection, code: Release) -> str:
    """What happens to a release on this schema: what it reads of c-0, or the SQLSTATE."""
    try:
        await conn.execute(code.write.encode(), ("c-new", "새담당"))
        row = await (await conn.execute(code.read.encode(), ("c-0",))).fetchone()
    except psycopg.Error as error:
        return str(error.sqlstate)
    assert row is not None
    return str(row[0])


async def apply(conn: AsyncConnection, **scripts: str) -> None:
    """Each migration is a run of its own."""
    for name, script in scripts.items():
        await migrate(conn, {f"{name}.sql": script})


@pytest.mark.stack
async def test_old_and_new_code_run_between_validate_and_contract(conn: AsyncConnection) -> None:
    """What each release meets after each step; the new one is deployed between the last two."""
    seen = {"before": (await outcome(conn, OLD), await outcome(conn, NEW))}
    await apply(conn, _1_expand=EXPAND)
    seen["expand"] = (await outcome(conn, OLD), await outcome(conn, NEW))
    await backfill(conn)
    await apply(conn, _2_require=REQUIRE, _3_validate=VALIDATE)
    seen["validate"] = (await outcome(conn, OLD), await outcome(conn, NEW))
    await apply(conn, _4_contract=CONTRACT)
    seen["contract"] = (await outcome(conn, OLD), await outcome(conn, NEW))
    assert seen == {
        "before": ("김담당", "42703"),
        "expand": ("김담당", "None"),
        "validate": ("김담당", "김담당"),
        "contract": ("42703", "김담당"),
    }


@pytest.mark.stack
async def test_old_code_fails_when_the_column_is_renamed(conn: AsyncConnection) -> None:
    """The naive twin: whichever release is deployed first, the other one breaks."""
    before = (await outcome(conn, OLD), await outcome(conn, NEW))
    await apply(conn, _1_rename=rename_column.RENAME)
    after = (await outcome(conn, OLD), await outcome(conn, NEW))
    assert (before, after) == (("김담당", "42703"), ("42703", "김담당"))


@pytest.mark.stack
async def test_nothing_is_lost_when_both_write_during_migration(
    workspace: Workspace, conn: AsyncConnection
) -> None:
    """Old and new code write without a pause through all steps; both names say the same."""
    workspace.execute(
        "INSERT INTO course SELECT 'x-' || n, '', '옛담당' FROM generate_series(1, 50) n"
    )
    stop, count = asyncio.Event(), "SELECT count(*) FROM course WHERE starts_with(id, %s)"

    async def writer(code: Release, name: str) -> int:
        """Changes old rows and makes new ones."""
        written = 0
        async with await workspace.aconnect() as session:
            while not stop.is_set():
                for row in (f"x-{written % 50 + 1}", f"{name}-{written}"):
                    await session.execute(code.write.encode(), (row, f"{name} {written}"))
                written += 1
        return written

    async with asyncio.TaskGroup() as writing:
        old = writing.create_task(writer(OLD, "old"))
        await until(lambda: workspace.value(count, ["old-"]), what="old code to write")
        await apply(conn, _1_expand=EXPAND)
        await backfill(conn, batch=7)
        await apply(conn, _2_require=REQUIRE, _3_validate=VALIDATE)
        new = writing.create_task(writer(NEW, "new"))
        await until(lambda: workspace.value(count, ["new-"]), what="new code to write")
        stop.set()
    written = {"old-": old.result(), "new-": new.result()}
    differing = "SELECT count(*) FROM course WHERE manager IS DISTINCT FROM manager_name"
    assert workspace.value(differing) == 0
    assert {name: workspace.value(count, [name]) for name in written} == written
    assert min(written.values()) > 0


@pytest.mark.stack
async def test_backfill_goes_on_when_old_code_fills_its_row_first(
    workspace: Workspace, conn: AsyncConnection
) -> None:
    """It waits for a row that is being changed, and ends only when nothing is left to fill."""
    await conn.execute(OLD.write.encode(), ("c-1", "박담당"))
    await apply(conn, _1_expand=EXPAND)
    async with await workspace.aconnect() as session:
        async with session.transaction():
            await session.execute("UPDATE course SET title = '사가 입문' WHERE id = 'c-0'")
            filling = asyncio.create_task(backfill(conn, batch=1))
            blocked = "SELECT cardinality(pg_blocking_pids(%s))"
            pid = conn.info.backend_pid
            await until(lambda: workspace.value(blocked, [pid]) == 1, what="the backfill to wait")
        assert await filling == 1
    assert workspace.fetch("SELECT id, manager, manager_name FROM course ORDER BY id") == [
        ("c-0", "김담당", "김담당"),
        ("c-1", "박담당", "박담당"),
    ]


@pytest.mark.stack
async def test_migration_gives_up_when_a_long_transaction_is_in_its_way(
    workspace: Workspace, conn: AsyncConnection
) -> None:
    """55P03, nothing done; the next run does it all."""
    impatient = re.sub("lock_timeout = '2s'", "lock_timeout = '20ms'", EXPAND)
    async with await workspace.aconnect() as reader, reader.transaction():
        await reader.execute("SELECT FROM course")
        with pytest.raises(errors.LockNotAvailable):
            await apply(conn, _1_expand=impatient)
        assert await outcome(conn, OLD) == "김담당"
    await apply(conn, _1_expand=impatient)
    assert await backfill(conn) == 2


@pytest.mark.stack
async def test_backfill_is_refused_when_it_would_lock_all_rows_at_once(
    workspace: Workspace, conn: AsyncConnection
) -> None:
    """One transaction a batch needs autocommit; a batch needs rows."""
    with pytest.raises(ValueError, match="batches of 1 or more"):
        await backfill(conn, batch=0)
    async with await workspace.aconnect(autocommit=False) as session:
        with pytest.raises(ValueError, match="autocommit"):
            await backfill(session)
