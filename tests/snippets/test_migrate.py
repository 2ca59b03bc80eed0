"""Migrations: in order, once, whole or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import combinations
from typing import Any

import psycopg
import pytest
from psycopg import sql

from handbook.lab import Workspace
from snippets import course_creation, idempotency, inbox, outbox, saga
from snippets.services import catalogue
from snippets.services.migrate import files, migrate

pytestmark = pytest.mark.stack
FIRST = {"001_a.sql": "CREATE TABLE a (id int)"}
BOTH = {**FIRST, "002_b.sql": "INSERT INTO a VALUES (1)"}


SERVICES = ["course", "member", "board"]
# A pattern's page shows its table; the services get it by a migration.
PATTERNS = [saga, idempotency, outbox, inbox, course_creation, catalogue]
SHAPE = """
SELECT c.relname, c.reloptions::text, a.attname, format_type(a.atttypid, a.atttypmod),
       a.attnotnull, a.attidentity::text, pg_get_expr(d.adbin, d.adrelid)
FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'
UNION ALL
SELECT conrelid::regclass::text, NULL, conname, pg_get_constraintdef(oid), NULL, NULL, NULL
FROM pg_constraint WHERE connamespace = current_schema()::regnamespace
UNION ALL
SELECT tablename, NULL, indexname, replace(indexdef, schemaname || '.', ''), NULL, NULL, NULL
FROM pg_indexes WHERE schemaname = current_schema()
"""


def shape(workspace: Workspace, schema: str, scripts: Iterable[str]) -> dict[str, set[Any]]:
    """Columns, constraints and indexes by table, after these scripts in a schema of their own."""
    with workspace.connect() as conn:
        conn.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
        conn.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(schema)))
        for script in scripts:
            conn.execute(script.encode())
        tables: dict[str, set[Any]] = {}
        for table, *rest in conn.execute(SHAPE):
            tables.setdefault(table, set()).add(tuple(rest))
        return tables


def test_migrated_tables_are_those_that_the_patterns_show(workspace: Workspace) -> None:
    """Every table that a pattern makes has the same columns, constraints and indexes here."""
    shown = shape(workspace, "shown", (pattern.CREATE_TABLE for pattern in PATTERNS))
    for service in SERVICES:
        migrated = shape(workspace, service, files(service).values())
        common = migrated.keys() & shown.keys()
        assert {table: migrated[table] for table in common} == {
            table: shown[table] for table in common
        }
        assert {"outbox", "inbox"} <= common
        if service == "course":
            assert common == shown.keys()


def test_shape_differs_when_a_column_key_or_default_does(workspace: Workspace) -> None:
    """Twin: what the comparison must see."""
    variants = (
        "id int",
        "id bigint",
        "id int NOT NULL",
        "id int DEFAULT 1",
        "id int UNIQUE",
        "id int CHECK (id > 0)",
        "id int GENERATED ALWAYS AS IDENTITY",
    )
    shapes = [
        shape(workspace, f"v{number}", [f"CREATE TABLE t ({columns})"])
        for number, columns in enumerate(variants)
    ]
    assert all(one != other for one, other in combinations(shapes, 2))


@pytest.mark.parametrize("service", SERVICES)
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
