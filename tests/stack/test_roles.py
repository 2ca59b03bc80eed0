"""Who may do what in the embedded PostgreSQL, and where its passwords are not."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import psutil
import psycopg
import pytest
from own_stack import dsn_of, known, postgres_only, run_cli, secrets_of, servers
from psycopg import errors

from handbook.stack import embedded, settings, state

pytestmark = pytest.mark.stack


def test_tooling_role_is_no_superuser_and_settings_are_ours(home: Path) -> None:
    """The role everybody works with makes databases and roles, reads statistics, and no more."""
    stack = embedded.up()

    with psycopg.connect(stack.postgres.dsn()) as conn:
        query = """
            SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls,
                   pg_has_role('pg_monitor', 'MEMBER')
              FROM pg_roles WHERE rolname = current_user
        """
        rights = conn.execute(query).fetchone()
        names = list(settings.POSTGRES)
        found = conn.execute(
            "SELECT name, setting FROM pg_settings WHERE lower(name) = ANY(%s)", [names]
        ).fetchall()
        safety = [conn.execute(f"SHOW {name}").fetchone() for name in SAFETY]

    assert rights == (False, True, True, False, False, True)
    assert {name.lower(): value for name, value in found} == settings.POSTGRES
    assert safety == [("on",)] * 3 + [("scram-sha-256",)]


SAFETY = ("fsync", "synchronous_commit", "data_checksums", "password_encryption")


def test_new_role_reaches_only_its_own_database(formatted: Path) -> None:
    """A lab's role can open neither the maintenance databases nor another lab's."""
    stack = postgres_only(formatted)
    with psycopg.connect(stack.postgres.dsn(), autocommit=True) as conn:
        conn.execute("CREATE ROLE app LOGIN PASSWORD 'for-the-test'")
        conn.execute("CREATE DATABASE own")
        conn.execute("CREATE DATABASE foreign_lab")
        for database in ("own", "foreign_lab"):
            conn.execute(f"REVOKE CONNECT ON DATABASE {database} FROM PUBLIC")
        conn.execute("GRANT CONNECT ON DATABASE own TO app")

    def enter(database: str) -> None:
        dsn = stack.postgres.dsn(database=database, user="app", password="for-the-test")
        psycopg.connect(dsn).close()

    enter("own")
    for closed in (*settings.CLOSED_DATABASES, "foreign_lab"):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            enter(closed)


def test_wrong_or_missing_password_is_refused(formatted: Path) -> None:
    """Loopback is no reason for trust: every connection proves its password by SCRAM."""
    stack = postgres_only(formatted)

    for password in ("wrong", "x" * 18):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(stack.postgres.dsn(password=password))
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(dataclasses.replace(stack.postgres, password="").dsn())


def test_tooling_role_cannot_do_a_superusers_work(formatted: Path) -> None:
    """The tooling cannot read the server's files or change its configuration."""
    postgres_only(formatted)
    with psycopg.connect(dsn_of(formatted), autocommit=True) as conn:
        for statement in ("SELECT pg_read_file('/etc/passwd')", "ALTER SYSTEM SET fsync = off"):
            with pytest.raises(errors.InsufficientPrivilege):
                conn.execute(statement)


def test_passwords_are_in_the_state_file_only(home: Path) -> None:
    """No log, output, process argument, environment or other file of the stack holds a password."""
    shown = run_cli("up").stdout + run_cli("up", "--json").stdout
    shown += run_cli("status", "--json").stdout + run_cli("logs").stdout + repr(known(home))
    shown += repr(embedded.describe(known(home)))
    arguments = [" ".join(p.cmdline()) + str(p.environ()) for p in servers(home)]
    files = [path for path in home.rglob("*") if path.is_file() and path.name != state.NAME]

    for secret in secrets_of(home):
        assert secret not in shown
        assert not [text for text in arguments if secret in text]
        assert not [path for path in files if secret.encode() in path.read_bytes()]
    assert (home / state.NAME).stat().st_mode & 0o777 == 0o600


def test_password_is_shown_when_asked_for(formatted: Path) -> None:
    """--show-secrets prints a connection string that works."""
    done = run_cli("up", "--json", "--show-secrets")

    with psycopg.connect(json.loads(done.stdout)["postgres"]["dsn"]) as conn:
        assert conn.execute("SELECT current_user").fetchone() == (settings.TOOLING,)


def test_no_password_is_visible_while_the_data_folder_is_made(home: Path) -> None:
    """The arguments of initdb name a private file, which is gone afterwards."""
    seen: list[str] = []

    def look(_line: str) -> None:
        for process in psutil.process_iter():
            try:
                seen.append(" ".join(process.cmdline()))
            except psutil.Error:
                continue

    embedded.up(say=look)

    assert not [text for text in seen for secret in secrets_of(home) if secret in text]
    assert not (home / "pg.secret").exists()
