"""A PostgreSQL of a test's own, which it may kill; Kafka is not needed for that."""

from __future__ import annotations

import contextlib
import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from handbook.stack import postgres, processes, settings, state
from handbook.stack.faults import EmbeddedFaults


@dataclass(frozen=True)
class OwnPostgres:
    """A running server in a folder of its own.

    Attributes:
        dsn: The superuser's.
        faults: Kill it and start it.
    """

    dsn: str
    faults: EmbeddedFaults

    def crash(self) -> None:
        """SIGKILL the whole server, and let it recover."""
        self.faults.kill("postgres")
        self.faults.start("postgres")

    def fetch(self, query: str) -> list[tuple[object, ...]]:
        """All rows, asked in a new session."""
        with psycopg.connect(self.dsn) as conn:
            return conn.execute(query.encode()).fetchall()


@contextlib.contextmanager
def own_postgres() -> Iterator[OwnPostgres]:
    """Made, started, and removed at the end."""
    home = Path(tempfile.mkdtemp(prefix="handbook-")).resolve()
    home.chmod(0o755)  # PostgreSQL does not run as root: its user must get in
    try:
        known = state.create(home, brokers=1)
        postgres.up(home, known)
        dsn = psycopg.conninfo.make_conninfo(
            host="127.0.0.1",
            port=known.postgres_port,
            dbname="postgres",
            user=settings.SUPERUSER,
            password=known.superuser_password,
            **postgres.CLIENT,
        )
        yield OwnPostgres(dsn, EmbeddedFaults(home))
    finally:
        processes.stop([postgres.data_folder(home)], signal.SIGKILL, 10)
        shutil.rmtree(home)
