"""Claims of `OwnPostgres`: it can be killed, comes back with its data, and leaves nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from handbook.lab import Child, OwnPostgres, wait_until
from handbook.lab.own_postgres import sweep

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def server() -> Iterator[OwnPostgres]:
    """A server with a setting."""
    with OwnPostgres(autovacuum="off") as started:
        yield started


def test_rows_and_settings_are_back_when_the_server_was_killed(server: OwnPostgres) -> None:
    """After SIGKILL nobody answers; after the start everything committed is there."""
    server.execute("CREATE TABLE course (id text); INSERT INTO course VALUES ('c-1')")

    with server.connect() as conn:
        server.kill()
        with pytest.raises(psycopg.OperationalError):
            conn.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError):
        server.connect()
    server.start()

    assert server.fetch("SELECT id FROM course") == [("c-1",)]
    assert server.fetch("SHOW autovacuum") == [("off",)]


def test_nothing_is_left_when_it_was_closed() -> None:
    """Neither folder nor server; a second `close` does nothing."""
    with OwnPostgres() as server:
        folder = Path(str(server.fetch("SHOW data_directory")[0][0]))
        assert folder.is_dir()

    server.close()
    assert not folder.exists()
    with pytest.raises(psycopg.OperationalError):
        server.connect()


def test_server_is_swept_when_its_owner_was_killed(server: OwnPostgres) -> None:
    """A killed lab leaves a server; the next sweep removes that one, and not the living."""
    owner = Child("lab_owner:own_a_server")
    wait_until(lambda: owner.reached or not owner.alive, deadline=60, what="the server")
    dsn = owner.reached[0]
    psycopg.connect(dsn).close()
    owner.kill()

    sweep()

    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(dsn)
    assert server.fetch("SELECT 1") == [(1,)]


def test_it_says_what_is_wrong_when_a_setting_does_not_exist() -> None:
    """A typo is refused by PostgreSQL, 42704, and no server is left."""
    with pytest.raises(psycopg.errors.UndefinedObject):
        OwnPostgres(wal_writer_delays="10s")
