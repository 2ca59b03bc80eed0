"""The tooling role, the same in the embedded stack and in containers.

Superuser rights are used once, to make it; everything else works as this role, which may make
databases and roles and read statistics, and is no superuser.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from handbook.stack import settings


def make_tooling_role(conn: psycopg.Connection[Any], password: str) -> None:
    """Create or repair the role over a superuser's autocommit connection; may be repeated.

    The password travels hashed, so that no server log can hold it.
    """
    name = settings.TOOLING
    role = sql.Identifier(name)
    hashed = conn.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256")
    found = conn.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone()
    verb = sql.SQL("ALTER" if found else "CREATE")
    attributes, secret = sql.SQL(settings.TOOLING_ATTRIBUTES), sql.Literal(hashed.decode())
    conn.execute(sql.SQL("{} ROLE {} {} PASSWORD {}").format(verb, role, attributes, secret))
    for group in settings.TOOLING_MEMBER_OF:
        conn.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), role))
    for closed in settings.CLOSED_DATABASES:
        database = sql.Identifier(closed)
        conn.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(database))
        conn.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, role))
