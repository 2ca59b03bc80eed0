"""A PostgreSQL that a lab may kill: the servers of the stack are everybody's."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any, Self

import psycopg
from psycopg import sql

from handbook import paths
from handbook.stack import postgres, processes, settings, state
from handbook.stack.faults import EmbeddedFaults

PREFIX = "handbook-own-"
OWNER = "owner.lock"


class OwnPostgres:
    """A running server in a folder of its own, removed by `close` or when the process ends.

    When the process is killed, by the next one that is made.

    Args:
        **parameters: Settings of the server, such as `wal_writer_delay="10s"`.
    """

    def __init__(self, **parameters: str) -> None:
        with state.locked(paths.cache_home() / "own.lock"):
            sweep()
            self._home = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
            self._owner = (self._home / OWNER).open("w")
            fcntl.flock(self._owner, fcntl.LOCK_EX)
        self._home.chmod(0o755)  # PostgreSQL does not run as root: its user must get in
        atexit.register(self.close)
        try:
            self._known = state.create(self._home, brokers=1)
            self._faults = EmbeddedFaults(self._home)
            self.start()
            self._set(parameters)
        except BaseException:
            self.close()
            raise

    @property
    def dsn(self) -> str:
        """The superuser's."""
        return psycopg.conninfo.make_conninfo(
            host="127.0.0.1",
            port=self._known.postgres_port,
            dbname="postgres",
            user=settings.SUPERUSER,
            password=self._known.superuser_password,
            **postgres.CLIENT,
        )

    def connect(self, **options: Any) -> psycopg.Connection:
        """A session; in autocommit mode unless told otherwise, as `Lab.connect`."""
        return psycopg.connect(self.dsn, **{"autocommit": True, **options})

    def execute(self, query: str) -> None:
        """Run statements in a new session."""
        with self.connect() as conn:
            conn.execute(query.encode())

    def fetch(self, query: str) -> list[tuple[Any, ...]]:
        """All rows, asked in a new session."""
        with self.connect() as conn:
            return conn.execute(query.encode()).fetchall()

    def kill(self) -> None:
        """SIGKILL the server and all its backends; returns when they are gone."""
        self._faults.kill("postgres")

    def start(self) -> None:
        """Start it; returns when it has recovered what it had written, and answers."""
        self._faults.start("postgres")

    def close(self) -> None:
        """End it without warning and remove its folder. A second call does nothing."""
        atexit.unregister(self.close)
        self._owner.close()
        _remove(self._home)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _set(self, parameters: dict[str, str]) -> None:
        if not parameters:
            return
        with self.connect() as conn:
            for name, value in parameters.items():
                change = sql.SQL("ALTER SYSTEM SET {} = {}")
                conn.execute(change.format(sql.Identifier(name), sql.Literal(value)))
        self.kill()  # some settings count from a start on
        self.start()


def sweep() -> None:
    """Remove the servers whose owners were killed."""
    for home in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError), (home / OWNER).open("w") as owner:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while the owner lives
            _remove(home)


def _remove(home: Path) -> None:
    processes.stop([postgres.data_folder(home)], signal.SIGKILL, 10)
    shutil.rmtree(home, ignore_errors=True)
