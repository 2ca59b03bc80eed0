"""Breaks other services when one changes its table: everybody may read and join everything.

The right way: `snippets.boundary`.

Proved by:
    R08 tests/snippets/test_contracts.py::test_join_fails_when_the_other_service_renames_its_column
"""

from __future__ import annotations

from psycopg import AsyncConnection, sql

# --8<-- [start:private_schema]
SHARED_SCHEMA = """
CREATE SCHEMA {schema};
GRANT USAGE ON SCHEMA {schema} TO PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT INSERT, UPDATE, DELETE ON TABLES TO {role};
"""


async def private_schema(conn: AsyncConnection, schema: str, role: str) -> None:
    """Make a schema that every role may read."""
    names = {"schema": sql.Identifier(schema), "role": sql.Identifier(role)}
    await conn.execute(sql.SQL(SHARED_SCHEMA).format(**names))
    # --8<-- [end:private_schema]
