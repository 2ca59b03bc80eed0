"""Boundary: the tables of a service are in a schema and under a role of its own.

Guarantees:
    In one database that several services share, the role of one service reads and changes its own
    schema; a SELECT from another service's table, alone or in a JOIN, is refused (42501).

Does not guarantee:
    Independence under load: the services share a server's memory, disk and connections. A database
    each (`services`) also ends the JOIN, a server each the shared fate.

Assumes:
    A service opens the database as its own role, which is no superuser and owns no other schema.
    Tables are made by the caller of `private_schema`.

Proved by:
    R08 tests/snippets/test_contracts.py::test_role_is_refused_when_it_reads_another_schema
    R08 tests/snippets/test_services.py (another database)

Source: Richardson, microservices.io, Database per service; PostgreSQL 18, 5.10.4 Schemas and
Privileges, ALTER DEFAULT PRIVILEGES.
"""

from __future__ import annotations

from psycopg import AsyncConnection, sql

# --8<-- [start:private_schema]
# Only USAGE, not CREATE: tables are made by migrations. The last lines are for tables to come.
PRIVATE_SCHEMA = """
CREATE SCHEMA {schema};
REVOKE ALL ON SCHEMA {schema} FROM PUBLIC;
GRANT USAGE ON SCHEMA {schema} TO {role};
ALTER DEFAULT PRIVILEGES IN SCHEMA {schema}
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {role};
ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT USAGE ON SEQUENCES TO {role};
"""


async def private_schema(conn: AsyncConnection, schema: str, role: str) -> None:
    """Make a schema that only `role` uses, in the caller's transaction; its tables come later.

    Raises:
        psycopg.Error: the schema exists, the role does not, or the caller may not.
    """
    names = {"schema": sql.Identifier(schema), "role": sql.Identifier(role)}
    await conn.execute(sql.SQL(PRIVATE_SCHEMA).format(**names))
    # --8<-- [end:private_schema]
