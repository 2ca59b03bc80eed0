"""A database of one run and the roles that may open it, and nothing else."""

from __future__ import annotations

import secrets

import psycopg
from psycopg import sql

from handbook.errors import StackError
from handbook.stack import Postgres, Stack


class Database:
    """Made by the tooling role, owned by an app role that can open no other database."""

    def __init__(self, postgres: Postgres, name: str) -> None:
        self.name = name
        self._postgres = postgres
        self._dsns: dict[str, str] = {}

    def create(self) -> None:
        """Make the app role and its database."""
        with tooling(self._postgres) as conn:
            self._dsns[""] = self._new_role(conn, self.name)
            make = sql.SQL("CREATE DATABASE {0} OWNER {0} TEMPLATE template0")
            conn.execute(make.format(sql.Identifier(self.name)))
            close = sql.SQL("REVOKE ALL ON DATABASE {0} FROM PUBLIC")
            conn.execute(close.format(sql.Identifier(self.name)))

    @property
    def dsn(self) -> str:
        """The app role's."""
        return self._dsns[""]

    def role(self, name: str) -> str:
        """The DSN of another login role: it may connect here and own nothing; made on first use."""
        if name not in self._dsns:
            role = f"{self.name}_{name}"[:63]
            with tooling(self._postgres) as conn, conn.transaction():
                dsn = self._new_role(conn, role)
                grant = sql.SQL("GRANT CONNECT ON DATABASE {} TO {}")
                conn.execute(grant.format(sql.Identifier(self.name), sql.Identifier(role)))
            self._dsns[name] = dsn
        return self._dsns[name]

    def drop(self) -> None:
        """Remove the database, whoever is connected, and its roles."""
        with tooling(self._postgres) as conn:
            drop(conn, self.name)

    def _new_role(self, conn: psycopg.Connection, role: str) -> str:
        password = secrets.token_urlsafe(18)
        # Hashed here: the server's log shows the statement when it fails.
        hashed = conn.pgconn.encrypt_password(
            password.encode(), role.encode(), b"scram-sha-256"
        ).decode()
        with conn.transaction():
            # The creator may then act for the role: own its database, end its sessions.
            conn.execute("SET LOCAL createrole_self_grant = 'set, inherit'")
            create = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
            conn.execute(create.format(sql.Identifier(role), sql.Literal(hashed)))
        return self._postgres.dsn(database=self.name, user=role, password=password)


def tooling(postgres: Postgres) -> psycopg.Connection:
    """A connection of the tooling role.

    Raises:
        StackError: PostgreSQL does not answer.
    """
    try:
        return psycopg.connect(postgres.dsn(), autocommit=True, connect_timeout=5)
    except psycopg.OperationalError as error:
        raise unreachable(postgres, error) from error


def unreachable(postgres: Postgres, error: Exception) -> StackError:
    """What to say when PostgreSQL is gone."""
    lines = str(error).strip().splitlines() or ["no reason given"]
    return StackError(
        f"PostgreSQL at {postgres.host}:{postgres.port} does not answer ({lines[-1].strip()})",
        "`handbook status` shows what runs, `handbook up` starts what does not",
    )


def drop(conn: psycopg.Connection, prefix: str) -> None:
    """Remove the databases and roles whose names begin with `prefix`."""
    found = "SELECT datname FROM pg_database WHERE starts_with(datname, %s)"
    for (name,) in conn.execute(found, (prefix,)).fetchall():
        gone = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        conn.execute(gone.format(sql.Identifier(name)))
    found = "SELECT rolname FROM pg_roles WHERE starts_with(rolname, %s)"
    roles = [sql.Identifier(name) for (name,) in conn.execute(found, (prefix,)).fetchall()]
    if roles:
        conn.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.SQL(", ").join(roles)))


def sweep(stack: Stack, run_id: str) -> None:
    """Remove what a dead run left."""
    with tooling(stack.postgres) as conn:
        drop(conn, f"lab_{run_id}_")
