"""Unit of work: a test a letter of ACID, each way to leave a unit, and Spring's default as twin."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import Connection
from psycopg.conninfo import make_conninfo
from psycopg.errors import CheckViolation, UniqueViolation

from handbook.lab import OwnPostgres, Proxy, Workspace
from handbook.stack import Stack
from snippets import seats
from snippets.errors import InDoubt, Rejected, Retriable
from snippets.naive import commit_on_checked
from snippets.services.enrolment import enrol
from snippets.unit_of_work import Spoiled, UnitOfWork

pytestmark = pytest.mark.stack
TAKEN = "SELECT taken FROM course_seats WHERE id = 'c-1'"
LISTED = "SELECT member FROM enrolment WHERE course_id = 'c-1' ORDER BY member"
# A server that is killed loses what it has acknowledged and not yet written, which may be as old as
# the WAL writer's pause is long; nobody else may write in the meantime.
SLOW_WAL_WRITER = {"wal_writer_delay": "10s", "autovacuum": "off"}


@pytest.fixture(scope="module")
def home(stack: Stack) -> Iterator[Workspace]:
    """One database for all tests."""
    with contextlib.closing(Workspace.create(stack, "unit")) as made:
        made.execute(seats.CREATE_TABLE)
        made.execute("CREATE TABLE place (seat int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
        yield made


@pytest.fixture
def course(home: Workspace) -> Workspace:
    """A course of ten seats."""
    home.execute("TRUNCATE course_seats, enrolment")
    with home.connect() as conn:
        seats.open_course(conn, "c-1", 10)
    return home


@pytest.fixture
def conn(course: Workspace) -> Iterator[Connection]:
    """A session as psycopg makes it; what is open at its end is rolled back."""
    with contextlib.closing(psycopg.connect(course.dsn)) as session:
        yield session


@pytest.fixture(scope="module")
def server() -> Iterator[OwnPostgres]:
    """A PostgreSQL to kill."""
    with OwnPostgres(**SLOW_WAL_WRITER) as started:
        started.execute(seats.CREATE_TABLE)
        yield started


def state(course: Workspace) -> dict[str, Any]:
    """What everybody can see."""
    return {"taken": course.value(TAKEN), "listed": [name for (name,) in course.fetch(LISTED)]}


NOTHING = {"taken": 0, "listed": []}
ONE = {"taken": 1, "listed": ["김수강"]}


def run(unit: UnitOfWork, work: Callable[[], object]) -> None:
    """A unit as every caller writes it."""
    with unit:
        work()
        unit.commit()


@pytest.mark.parametrize("point", ["enrolment.seat_taken", "unit.committing", "unit.committed"])
def test_both_changes_or_none_are_there_when_the_process_is_killed(
    course: Workspace, point: str
) -> None:
    """A: between two changes, or before COMMIT, nothing has happened; after it, everything has."""
    settings = {"dsn": course.dsn, "course_id": "c-1", "member": "김수강"}

    course.kill_at(point, "snippets.services.enrolment:main", kwargs=settings)

    assert state(course) == (ONE if point == "unit.committed" else NOTHING)


def test_whole_unit_is_gone_when_a_change_breaks_a_declared_rule(
    course: Workspace, conn: Connection
) -> None:
    """C: never more seats taken than there are, says the table; the change before it goes, too."""

    def overbook() -> None:
        enrol(conn, "c-1", "김수강")
        conn.execute("UPDATE course_seats SET taken = capacity + 1 WHERE id = 'c-1'")

    with pytest.raises(CheckViolation) as refused:
        run(UnitOfWork(conn), overbook)

    assert refused.value.sqlstate == "23514"
    assert state(course) == NOTHING


def test_rule_is_broken_when_no_constraint_declares_it(course: Workspace, conn: Connection) -> None:
    """C: «as many members as taken seats» is ours to keep: the database commits what breaks it."""
    with UnitOfWork(conn) as unit:
        seats.enrol(conn, "c-1", "김수강")
        unit.commit()

    assert state(course) == {"taken": 0, "listed": ["김수강"]}


def test_nobody_sees_a_change_until_it_is_committed(course: Workspace, conn: Connection) -> None:
    """I: another session sees all of the unit, or nothing of it."""
    seen = []

    with UnitOfWork(conn, at=lambda point: seen.append((point, state(course)))) as unit:
        enrol(conn, "c-1", "김수강", at=lambda point: seen.append((point, state(course))))
        unit.commit()

    assert seen == [
        ("enrolment.seat_taken", NOTHING),
        ("unit.committing", NOTHING),
        ("unit.committed", ONE),
    ]


def committed(server: OwnPostgres, course_id: str, **options: str) -> bool:
    """Enrol in a new course, and come back with the acknowledgement: was it on disk by then?"""
    with server.connect() as conn:
        seats.open_course(conn, course_id, 10)
    with contextlib.closing(server.connect(autocommit=False, **options)) as conn:
        with UnitOfWork(conn) as unit:
            enrol(conn, course_id, "김수강")
            written = conn.execute("SELECT pg_current_wal_insert_lsn()").fetchone()
            unit.commit()
        flushed = conn.execute("SELECT pg_current_wal_flush_lsn() >= %s", written).fetchone()
        server.kill()
    assert flushed is not None
    return bool(flushed[0])


def test_acknowledged_row_is_kept_when_the_server_is_killed(server: OwnPostgres) -> None:
    """D: SIGKILL of the whole server right after the acknowledgement: rows = 1."""
    on_disk = committed(server, "d-1")

    server.start()

    assert on_disk
    assert server.fetch("SELECT member FROM enrolment WHERE course_id = 'd-1'") == [("김수강",)]


def test_acknowledged_row_is_gone_when_commits_are_asynchronous(server: OwnPostgres) -> None:
    """D: `synchronous_commit = off` acknowledges before it writes; nothing of the unit is left."""
    on_disk = committed(server, "d-2", options="-c synchronous_commit=off")

    server.start()

    assert not on_disk
    assert server.fetch("SELECT member FROM enrolment WHERE course_id = 'd-2'") == []
    assert server.fetch("SELECT taken FROM course_seats WHERE id = 'd-2'") == [(0,)]


CHECKED: list[BaseException] = [Rejected("멤버가 휴가 중"), Retriable("503"), InDoubt("no reply")]
OTHER: list[BaseException] = [RuntimeError("a bug"), KeyboardInterrupt()]


def left_by(course: Workspace, kind: type[UnitOfWork], error: BaseException) -> int:
    """How many enrolments are kept when `error` leaves a unit after both changes."""
    before = len(course.fetch(LISTED))

    def fail() -> None:
        enrol(session, "c-1", f"member-{before}")
        raise error

    with contextlib.closing(psycopg.connect(course.dsn)) as session, pytest.raises(type(error)):
        run(kind(session), fail)
    return len(course.fetch(LISTED)) - before


def test_written_row_is_kept_when_a_checked_error_is_raised(course: Workspace) -> None:
    """The naive twin, Spring's default: the course is enrolled in although the call was refused."""
    kept = [left_by(course, commit_on_checked.UnitOfWork, error) for error in CHECKED + OTHER]

    assert kept == [1, 1, 1, 0, 0]


def test_nothing_is_kept_when_a_unit_is_left_without_commit(
    course: Workspace, conn: Connection
) -> None:
    """By an error of any kind, or by forgetting: 0 rows; and the connection is fit for the next."""
    kept = [left_by(course, UnitOfWork, error) for error in CHECKED + OTHER]
    with UnitOfWork(conn):
        enrol(conn, "c-1", "이잊음")

    assert kept == [0] * 5
    assert state(course) == NOTHING
    with UnitOfWork(conn) as unit:
        enrol(conn, "c-1", "김수강")
        unit.commit()
    assert state(course) == ONE


def test_commit_raises_when_an_error_was_swallowed(course: Workspace, conn: Connection) -> None:
    """PostgreSQL answers COMMIT with ROLLBACK: a bare `conn.commit()` says nothing of that."""
    for bare in (False, True):
        with UnitOfWork(conn) as unit:
            enrol(conn, "c-1", "김수강")
            with contextlib.suppress(UniqueViolation):
                enrol(conn, "c-1", "김수강")
            if bare:
                conn.commit()
            else:
                with pytest.raises(Spoiled):
                    unit.commit()
        assert state(course) == NOTHING


def test_commit_raises_the_refusal_when_a_rule_is_checked_at_the_end(
    course: Workspace, conn: Connection
) -> None:
    """A deferred constraint: every statement succeeds, the COMMIT does not."""
    with pytest.raises(UniqueViolation) as refused:
        run(UnitOfWork(conn), lambda: conn.execute("INSERT INTO place VALUES (7), (7)"))

    assert refused.value.sqlstate == "23505"
    assert course.value("SELECT count(*) FROM place") == 0


@pytest.mark.parametrize("arrives", [True, False])
def test_outcome_is_in_doubt_when_the_connection_breaks_during_commit(
    course: Workspace, arrives: bool
) -> None:
    """One error, two outcomes: the reply was lost after the commit, or COMMIT never arrived."""
    with Proxy(course.stack.postgres.port) as proxy:

        def trouble(point: str) -> None:
            if point == "unit.committing":
                proxy.drop_replies(1) if arrives else proxy.refuse()

        dsn = make_conninfo(course.dsn, host="127.0.0.1", port=proxy.port)
        with contextlib.closing(psycopg.connect(dsn)) as conn, pytest.raises(InDoubt):
            run(UnitOfWork(conn, at=trouble), lambda: enrol(conn, "c-1", "김수강"))
        assert proxy.faults == 1

    assert state(course) == (ONE if arrives else NOTHING)


def test_unit_is_refused_when_the_connection_cannot_hold_one(
    course: Workspace, conn: Connection
) -> None:
    """In autocommit mode nothing is held back; what was begun before would end with the unit."""
    with course.connect() as autocommit, pytest.raises(ValueError, match="switch it off"):
        UnitOfWork(autocommit).__enter__()
    conn.execute("SELECT 1")
    with pytest.raises(ValueError, match="INTRANS, not IDLE: end what was begun"):
        UnitOfWork(conn).__enter__()
    conn.close()
    with pytest.raises(ValueError, match="UNKNOWN, not IDLE"):
        UnitOfWork(conn).__enter__()
