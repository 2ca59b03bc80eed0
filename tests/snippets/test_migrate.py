"""Migrations: in order, once, whole or not at all."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from handbook.lab import Workspace
from snippets.services.migrate import files, migrate

pytestmark = pytest.mark.stack
FIRST = {"001_a.sql": "CREATE TABLE a (id int)"}
BOTH = {**FIRST, "002_b.sql": "INSERT INTO a VALUES (1)"}


@pytest.mark.parametrize("service", ["member", "board"])
def test_files_of_a_service_are_numbered_and_in_order(service: str) -> None:
    """001, 002, … without a gap."""
    names = list(files(service))
    assert [int(name[:3]) for name in names] == list(range(1, len(names) + 1))


async def test_new_files_only_are_applied_when_some_are_known(workspace: Workspace) -> None:
    """A second run does what the first could not know, a third nothing."""
    async with await workspace.aconnect() as conn:
        assert await migrate(conn, FIRST) == ["001_a.sql"]
        assert await migrate(conn, BOTH) == ["002_b.sql"]
        assert await migrate(conn, BOTH) == []
    assert workspace.fetch("SELECT id FROM a") == [(1,)]


async def test_each_file_is_applied_once_when_two_processes_start(workspace: Workspace) -> None:
    """Whoever comes second waits for the lock and finds everything done."""
    async with await workspace.aconnect() as one, await workspace.aconnect() as two:
        applied = await asyncio.gather(migrate(one, BOTH), migrate(two, BOTH))
    assert sorted(applied) == [[], list(BOTH)]
    assert workspace.value("SELECT count(*) FROM a") == 1


async def test_nothing_is_applied_when_one_statement_fails(workspace: Workspace) -> None:
    """A half-migrated schema does not exist."""
    async with await workspace.aconnect() as conn:
        with pytest.raises(psycopg.errors.UndefinedTable):
            await migrate(conn, {**FIRST, "002_c.sql": "INSERT INTO gone VALUES (1)"})
    made = workspace.fetch("SELECT to_regclass('a'), to_regclass('schema_migration')")
    assert made == [(None, None)]
