"""Transact: what a run is, when it is repeated, and what it refuses to begin."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import Connection, IsolationLevel

from handbook.lab import Workspace
from snippets.retry import Policy
from snippets.transact import ONCE, transact

pytestmark = pytest.mark.stack
LEVELS = [
    IsolationLevel.READ_COMMITTED,
    IsolationLevel.REPEATABLE_READ,
    IsolationLevel.SERIALIZABLE,
]


@pytest.fixture
def counter(shared: Workspace) -> Workspace:
    """One row that counts."""
    shared.execute("DROP TABLE IF EXISTS counter")
    shared.execute("CREATE TABLE counter (n int NOT NULL)")
    shared.execute("INSERT INTO counter VALUES (0)")
    return shared


class Overtaken:
    """Work that another session overtakes `times` times between its read and its write."""

    def __init__(self, counter: Workspace, times: int) -> None:
        self.counter = counter
        self.times = times
        self.read: list[int] = []

    def __call__(self, conn: Connection) -> int:
        """Read, be overtaken, write."""
        row = conn.execute("SELECT n FROM counter").fetchone()
        assert row is not None
        self.read.append(row[0])
        if len(self.read) <= self.times:
            self.counter.execute("UPDATE counter SET n = n + 10")
        conn.execute("UPDATE counter SET n = %s", (row[0] + 1,))
        return len(self.read)


@pytest.mark.parametrize("level", LEVELS)
def test_work_runs_at_the_level_that_is_asked_for(
    counter: Workspace, level: IsolationLevel
) -> None:
    """PostgreSQL says so itself, and the session keeps nothing of it."""
    ask = "SELECT current_setting('transaction_isolation')"

    def work(conn: Connection) -> object:
        return conn.execute(ask).fetchone()

    with counter.connect() as conn:
        assert transact(conn, work, level=level) == (level.name.lower().replace("_", " "),)
        assert conn.execute(ask).fetchone() == ("read committed",)


def test_work_is_run_again_when_it_lost_a_race(counter: Workspace) -> None:
    """Each run begins with a new snapshot; the last one is committed, and waits lie between."""
    pauses: list[float] = []
    work = Overtaken(counter, times=2)
    with counter.connect() as conn:
        runs = transact(conn, work, level=IsolationLevel.REPEATABLE_READ, sleep=pauses.append)
    assert (runs, work.read, len(pauses)) == (3, [0, 10, 20], 2)
    assert counter.value("SELECT n FROM counter") == 21


def test_last_error_is_raised_when_the_attempts_are_used_up(counter: Workspace) -> None:
    """40001 comes to the caller, and nothing was written."""
    for policy, runs in ((ONCE, 1), (Policy(attempts=3, first=0.001), 3)):
        work = Overtaken(counter, times=9)
        with counter.connect() as conn, pytest.raises(psycopg.errors.SerializationFailure):
            transact(conn, work, level=IsolationLevel.REPEATABLE_READ, policy=policy)
        assert len(work.read) == runs
    assert counter.value("SELECT n FROM counter") == 40


def test_work_is_not_repeated_when_it_is_a_bug(counter: Workspace) -> None:
    """Any other error rolls back and goes to the caller at once."""
    runs: list[int] = []

    def work(conn: Connection) -> None:
        runs.append(1)
        conn.execute("UPDATE counter SET n = 99")
        raise ZeroDivisionError

    with counter.connect() as conn, pytest.raises(ZeroDivisionError):
        transact(conn, work)
    assert (len(runs), counter.value("SELECT n FROM counter")) == (1, 0)


def test_transact_is_refused_when_a_transaction_is_open(counter: Workspace) -> None:
    """It would be a savepoint, which keeps the snapshot that lost."""
    with counter.connect(autocommit=False) as conn:
        conn.execute("SELECT 1")
        with pytest.raises(ValueError, match="end the transaction first"):
            transact(conn, lambda _: None)


def test_transact_is_refused_when_postgresql_lacks_the_level(counter: Workspace) -> None:
    """READ UNCOMMITTED is a name for READ COMMITTED there: say what you get."""
    with counter.connect() as conn, pytest.raises(ValueError, match="choose READ_COMMITTED"):
        transact(conn, lambda _: None, level=IsolationLevel.READ_UNCOMMITTED)
