"""The tooling role, the same in the embedded stack and in containers.

Superuser rights are used once, to make it; everything else works as this role, which may make
databases and roles and read statistics, and is no superuser.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

TOOLING = "handbook"


def make_tooling_role(conn: psycopg.Connection[Any], password: str) -> None:
    """Create or repair the role over a superuser's autocommit connection; may be repeated."""
    role, secret = sql.Identifier(TOOLING), sql.Literal(password)
    exists = conn.execute("SELECT FROM pg_roles WHERE rolname = %s", [TOOLING]).fetchone()
    verb = sql.SQL("ALTER" if exists else "CREATE")
    conn.execute(
        sql.SQL("{} ROLE {} LOGIN CREATEDB CREATEROLE NOSUPERUSER PASSWORD {}").format(
            verb, role, secret
        )
    )
    conn.execute(sql.SQL("GRANT pg_monitor TO {}").format(role))
    for database in ("template1", "postgres"):
        name = sql.Identifier(database)
        conn.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(name))
        conn.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(name, role))
