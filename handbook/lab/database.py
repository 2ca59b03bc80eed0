"""A database of one run and the roles that may open it, and nothing else."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql

from handbook.errors import StackError
from handbook.stack import Postgres, Stack

Params = Sequence[Any] | Mapping[str, Any] | None
LONGEST_NAME = 63  # bytes; PostgreSQL cuts what is longer


class Database:
    """Made by the tooling role, owned by an app role that can open no other database."""

    def __init__(self, postgres: Postgres, name: str) -> None:
        self.name = name
        self._postgres = postgres
        self._dsns: dict[str, str] = {}
        self._session: psycopg.Connection | None = None
        with tooling(postgres) as conn:
            self._dsns[""] = self._new_role(conn, name)
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
            role = f"{self.name}__{name}"[:LONGEST_NAME]
            with tooling(self._postgres) as conn, conn.transaction():
                dsn = self._new_role(conn, role)
                grant = sql.SQL("GRANT CONNECT ON DATABASE {} TO {}")
                conn.execute(grant.format(sql.Identifier(self.name), sql.Identifier(role)))
            self._dsns[name] = dsn
        return self._dsns[name]

    def connect(self, **options: Any) -> psycopg.Connection:
        """A session of the app role; in autocommit mode unless told otherwise.

        Raises:
            StackError: PostgreSQL does not answer.
        """
        try:
            return psycopg.connect(self.dsn, **{"autocommit": True, **options})
        except psycopg.OperationalError as error:
            raise unreachable(self._postgres, error) from error

    async def aconnect(self, **options: Any) -> psycopg.AsyncConnection:
        """`connect` for code in an event loop."""
        options = {"autocommit": True, **options}
        try:
            return await psycopg.AsyncConnection.connect(self.dsn, **options)
        except psycopg.OperationalError as error:
            raise unreachable(self._postgres, error) from error

    def execute(self, query: str, params: Params = None) -> None:
        """Run a statement in a session that is kept for the lab's own questions."""
        self._ask(query, params)

    def fetch(self, query: str, params: Params = None) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return self._ask(query, params).fetchall()

    def value(self, query: str, params: Params = None) -> Any:
        """The first column of the first row; None when there is no row."""
        row = self._ask(query, params).fetchone()
        return None if row is None else row[0]

    def close(self) -> None:
        """End the session of `execute`, `fetch` and `value`."""
        if self._session is not None:
            self._session.close()

    def _ask(self, query: str, params: Params) -> psycopg.Cursor[Any]:
        if self._session is None or self._session.closed:
            self._session = self.connect()
        try:
            return self._session.execute(query.encode(), params)
        except psycopg.OperationalError as error:
            if self._session.closed:
                raise unreachable(self._postgres, error) from error
            raise

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
    why = (str(error).strip().splitlines() or ["no reason given"])[0]
    return StackError(
        f"PostgreSQL at {postgres.host}:{postgres.port} does not answer ({why})",
        "`handbook status` shows what runs, `handbook up` starts what does not",
    )


def drop(conn: psycopg.Connection, start: str) -> None:
    """Remove the databases and roles whose names begin with `start`."""
    found = "SELECT datname FROM pg_database WHERE starts_with(datname, %s)"
    for (name,) in conn.execute(found, (start,)).fetchall():
        _drop_database(conn, name)
    found = "SELECT rolname FROM pg_roles WHERE starts_with(rolname, %s)"
    roles = [sql.Identifier(name) for (name,) in conn.execute(found, (start,)).fetchall()]
    if roles:
        conn.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.SQL(", ").join(roles)))


def _drop_database(conn: psycopg.Connection, name: str) -> None:
    # Not WITH (FORCE): it fails when an autovacuum worker is in there, whom only few may end. A
    # plain DROP ends the worker itself, and needs the others gone.
    database = sql.Identifier(name)
    conn.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(database))
    end_sessions = """
        SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
        WHERE datname = %s AND usename IS NOT NULL
    """
    conn.execute(end_sessions, (name,))
    conn.execute(sql.SQL("DROP DATABASE {}").format(database))


def drop_run(stack: Stack, run_id: str) -> None:
    """Remove the databases and roles of a run, whoever is connected."""
    with tooling(stack.postgres) as conn:
        drop(conn, prefix(run_id))


def prefix(run_id: str) -> str:
    """How the names of a run's databases and roles begin."""
    return f"lab_{run_id}_"
