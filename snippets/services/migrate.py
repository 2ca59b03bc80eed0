"""Migrations: plain SQL files, applied in the order of their names, each once.

Guarantees:
    A file and the note that it was applied commit together; two processes that start at once apply
    each file once. A second run changes nothing.

Does not guarantee:
    That old code works with the new schema: expand first, contract when nobody uses the old form.
    Statements that cannot run inside a transaction, such as CREATE INDEX CONCURRENTLY.

Assumes:
    A file that was applied is never edited; its name begins with its number.

Proved by:
    R08 tests/snippets/test_migrate.py::test_each_file_is_applied_once_when_two_processes_start

Source: Fowler and Sadalage, Evolutionary Database Design (2016); PostgreSQL 18, 9.28.10.
"""

from __future__ import annotations

from importlib import resources

from psycopg import AsyncConnection

LOCK = 0x6D696772617465  # "migrate"
CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migration (
    name       text PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""
# Held until the transaction ends: whoever comes second waits, then finds everything applied.
TAKE_LOCK = "SELECT pg_advisory_xact_lock(%s)"
APPLIED = "SELECT name FROM schema_migration"
REMEMBER = "INSERT INTO schema_migration (name) VALUES (%s)"


def files(service: str) -> dict[str, str]:
    """The migrations of a service by name, in order."""
    folder = resources.files("snippets.services") / "migrations" / service
    found = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return {name: (folder / name).read_text(encoding="utf-8") for name in found}


# --8<-- [start:migrate]
async def migrate(conn: AsyncConnection, scripts: dict[str, str]) -> list[str]:
    """Apply what was not applied yet, in one transaction; returns the names.

    Raises:
        psycopg.Error: a statement failed; nothing of this run was applied.
    """
    async with conn.transaction():
        await conn.execute(TAKE_LOCK, (LOCK,))
        await conn.execute(CREATE_TABLE)
        known = {row[0] for row in await (await conn.execute(APPLIED)).fetchall()}
        new = [name for name in scripts if name not in known]
        for name in new:
            await conn.execute(scripts[name].encode())
            await conn.execute(REMEMBER, (name,))
        return new
        # --8<-- [end:migrate]
