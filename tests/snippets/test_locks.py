"""Locks: which of them conflict, who waits for whom, and how waiting ends."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import Connection, IsolationLevel
from psycopg.errors import LockNotAvailable, QueryCanceled, SerializationFailure, UniqueViolation

from handbook.lab import Pending, Workspace
from snippets import locks, seats
from snippets.locks import IfLocked, Strength, Wait, lock_in_order, who_waits

pytestmark = pytest.mark.stack
UPDATE, NO_KEY, SHARE, KEY = Strength
# PostgreSQL 18, Table 13.3: what keeps out what.
CONFLICTS = {
    UPDATE: {UPDATE, NO_KEY, SHARE, KEY},
    NO_KEY: {UPDATE, NO_KEY, SHARE},
    SHARE: {UPDATE, NO_KEY},
    KEY: {UPDATE},
}


@pytest.fixture
def courses(shared: Workspace) -> Workspace:
    """Three courses."""
    shared.execute("DROP TABLE IF EXISTS enrolment, course_seats")
    shared.execute(seats.CREATE_TABLE)
    with shared.connect() as conn:
        for number in (1, 2, 3):
            seats.open_course(conn, f"c-{number}", 10)
    return shared


def in_transaction(act: Callable[[Connection], object]) -> Callable[[Connection], object]:
    """`act` in a transaction of its own."""

    def acting(conn: Connection) -> object:
        with conn.transaction():
            return act(conn)

    return acting


class Two:
    """Two sessions: the first acts, the second may have to wait for it."""

    def __init__(self, courses: Workspace, first: Connection, second: Connection) -> None:
        self.first = first
        self.second = second
        self._courses = courses

    def waits(self, act: Callable[[Connection], object]) -> Pending[object]:
        """What the second does; returns when it waits for the first, and for nobody else."""
        call = Pending(self._courses, act, self.second)
        assert call.blocked_by() == [self.first.info.backend_pid]
        return call


@pytest.fixture
def two(courses: Workspace) -> Iterator[Two]:
    """The second gives up after ten seconds, so that a broken test ends."""
    with courses.connect() as second, courses.connect() as first:
        second.execute("SET lock_timeout = '10s'")
        yield Two(courses, first, second)


# the four row locks


def test_row_locks_conflict_as_the_manual_says(two: Two) -> None:
    """All sixteen pairs: 55P03 exactly where the manual has a cross."""

    def state(held: Strength, wanted: Strength) -> str | None:
        with two.first.transaction():
            lock_in_order(two.first, "course_seats", ["c-1"], held)
            try:
                with two.second.transaction():
                    lock_in_order(two.second, "course_seats", ["c-1"], wanted, IfLocked.FAIL)
            except psycopg.Error as error:
                return error.sqlstate
        return None

    for held in Strength:
        expected = {wanted: "55P03" if wanted in CONFLICTS[held] else None for wanted in Strength}
        assert {wanted: state(held, wanted) for wanted in Strength} == expected


def test_rows_are_locked_by_id_when_they_are_named_in_any_order(two: Two) -> None:
    """Who asks for 3, 1, 2 waits at 1 and holds nothing behind it: 3 is free for others."""
    with two.first.transaction():
        lock_in_order(two.first, "course_seats", ["c-1"])
        wanted = ["c-3", "c-1", "c-2"]
        locking = two.waits(in_transaction(lambda c: lock_in_order(c, "course_seats", wanted)))
        fail = IfLocked.FAIL
        assert lock_in_order(two.first, "course_seats", ["c-3"], UPDATE, fail) == ["c-3"]
    assert locking.result() == ["c-1", "c-2", "c-3"]


def test_locked_row_is_left_out_when_it_may_be_skipped(two: Two) -> None:
    """SKIP LOCKED takes what is free; a row that does not exist is not locked, either."""
    with two.first.transaction(), two.second.transaction():
        lock_in_order(two.first, "course_seats", ["c-2"])
        wanted = ["c-3", "c-2", "c-1", "nowhere"]
        skip = IfLocked.SKIP
        assert lock_in_order(two.second, "course_seats", wanted, UPDATE, skip) == ["c-1", "c-3"]


def test_reader_does_not_wait_when_a_row_is_locked(two: Two) -> None:
    """A plain SELECT passes the strongest row lock, and sees what is committed."""
    with two.first.transaction():
        lock_in_order(two.first, "course_seats", ["c-1"])
        seats.take(two.first, "c-1")
        assert seats.read(two.second, "c-1").taken == 0
    assert seats.read(two.second, "c-1").taken == 1


def test_lock_is_free_again_when_its_session_dies(courses: Workspace, two: Two) -> None:
    """No lock outlives its transaction, whatever ends it."""
    with contextlib.closing(courses.connect(autocommit=False)) as holder:
        lock_in_order(holder, "course_seats", ["c-1"])
        courses.execute("SELECT pg_terminate_backend(%s, 5000)", (holder.info.backend_pid,))
        with two.second.transaction():
            assert lock_in_order(two.second, "course_seats", ["c-1"]) == ["c-1"]


def test_lock_is_refused_with_40001_when_the_row_changed_since_the_snapshot(two: Two) -> None:
    """From REPEATABLE READ on a lock is no way around the snapshot."""

    def late(conn: Connection) -> None:
        seats.read(conn, "c-1")
        seats.take(two.first, "c-1")
        lock_in_order(conn, "course_seats", ["c-1"])

    two.second.isolation_level = IsolationLevel.REPEATABLE_READ
    with pytest.raises(SerializationFailure) as caught:
        in_transaction(late)(two.second)
    assert caught.value.sqlstate == "40001"


# E9: what an INSERT waits for


def test_insert_passes_when_its_key_is_another(two: Two) -> None:
    """A new row locks itself only: another key, and an UPDATE of all rows, do not wait."""
    with two.first.transaction():
        seats.enrol(two.first, "c-1", "김멤버")
        seats.enrol(two.second, "c-1", "이멤버")
        seats.enrol(two.second, "c-2", "김멤버")
        assert two.second.execute("UPDATE enrolment SET member = member || '!'").rowcount == 2
        visible = two.second.execute("SELECT count(*) FROM enrolment").fetchone()
    assert visible == (2,)


def test_insert_waits_when_its_key_is_being_inserted(two: Two) -> None:
    """Until the first one decides: its commit refuses the second with 23505."""
    with two.first.transaction():
        seats.enrol(two.first, "c-1", "김멤버")
        same = two.waits(lambda conn: seats.enrol(conn, "c-1", "김멤버"))
    with pytest.raises(UniqueViolation) as caught:
        same.result()
    assert caught.value.sqlstate == "23505"


def test_insert_passes_when_the_same_key_is_rolled_back(two: Two) -> None:
    """Until the first one decides: its rollback lets the second in."""
    with two.first.transaction(force_rollback=True):
        seats.enrol(two.first, "c-1", "김멤버")
        same = two.waits(lambda conn: seats.enrol(conn, "c-1", "김멤버"))
    same.result()
    assert two.first.execute("SELECT member FROM enrolment").fetchall() == [("김멤버",)]


def test_child_waits_when_its_parent_is_locked_for_update(two: Two) -> None:
    """The foreign key wants FOR KEY SHARE on the course: FOR UPDATE there holds all enrolments."""
    with two.first.transaction():
        lock_in_order(two.first, "course_seats", ["c-1"], UPDATE)
        enrolling = two.waits(lambda conn: seats.enrol(conn, "c-1", "김멤버"))
    enrolling.result()


@pytest.mark.parametrize(
    "hold",
    [
        lambda conn: lock_in_order(conn, "course_seats", ["c-1"], NO_KEY),
        lambda conn: seats.take(conn, "c-1"),
        lambda conn: seats.take_locked(conn, "c-1"),
    ],
    ids=["for-no-key-update", "update", "take-locked"],
)
def test_child_passes_when_its_parent_keeps_its_key(
    two: Two, hold: Callable[[Connection], object]
) -> None:
    """FOR NO KEY UPDATE, which an UPDATE of other columns takes, lets enrolments in."""
    with two.first.transaction():
        hold(two.first)
        seats.enrol(two.second, "c-1", "김멤버")


@pytest.mark.parametrize(
    "act",
    [
        lambda conn: lock_in_order(conn, "course_seats", ["c-1"], UPDATE),
        lambda conn: conn.execute("DELETE FROM course_seats WHERE id = 'c-1'"),
        lambda conn: conn.execute("UPDATE course_seats SET id = 'c-9' WHERE id = 'c-1'"),
    ],
    ids=["for-update", "delete", "update-of-the-key"],
)
def test_parent_waits_when_a_child_is_being_inserted(
    two: Two, act: Callable[[Connection], object]
) -> None:
    """The other way round: an open enrolment keeps its course from being deleted or renamed."""
    with two.first.transaction(force_rollback=True):
        seats.enrol(two.first, "c-1", "김멤버")
        seats.take(two.second, "c-1")  # other columns: passes
        acting = two.waits(in_transaction(act))
    acting.result()


# names


def test_second_waits_when_another_transaction_has_the_name(two: Two) -> None:
    """Other names pass; the same name waits until the transaction ends."""
    with two.first.transaction():
        locks.take_turn(two.first, "hall:1")
        with two.second.transaction():
            assert locks.try_turn(two.second, "hall:2")
            assert not locks.try_turn(two.second, "hall:1")
        turn = two.waits(in_transaction(lambda conn: locks.take_turn(conn, "hall:1")))
    turn.result()
    with two.second.transaction():
        assert locks.try_turn(two.second, "hall:1")


def test_turn_is_given_back_when_the_transaction_is_rolled_back(two: Two) -> None:
    """Nobody has to remember to unlock."""
    with two.first.transaction(force_rollback=True):
        assert locks.try_turn(two.first, "hall:1")
    with two.second.transaction():
        assert locks.try_turn(two.second, "hall:1")


# the end of waiting


def test_waiting_ends_with_55P03_when_the_lock_timeout_passes(two: Two) -> None:  # noqa: N802
    """Short for the lock, not for the work: the same transaction may still run long statements."""

    def patient(conn: Connection) -> None:
        locks.limit(conn, lock=0.05)
        conn.execute("SELECT pg_sleep(0.1)")
        seats.take(conn, "c-1")

    with two.first.transaction():
        lock_in_order(two.first, "course_seats", ["c-1"])
        with pytest.raises(LockNotAvailable) as caught:
            in_transaction(patient)(two.second)
    assert caught.value.sqlstate == "55P03"


def test_statement_ends_with_57014_when_the_statement_timeout_passes(two: Two) -> None:
    """Whether it waits for a lock or works."""

    def slow(conn: Connection) -> None:
        locks.limit(conn, lock=0.05, statement=0.1)
        conn.execute("SELECT pg_sleep(10)")

    with pytest.raises(QueryCanceled) as caught:
        in_transaction(slow)(two.second)
    assert caught.value.sqlstate == "57014"


def test_limit_is_gone_when_the_transaction_ends(two: Two) -> None:
    """The next user of a pooled connection finds it as it was."""
    now = "SELECT current_setting('lock_timeout'), current_setting('statement_timeout')"
    with two.second.transaction():
        locks.limit(two.second)
        assert two.second.execute(now).fetchone() == ("1s", "5s")
    assert two.second.execute(now).fetchone() == ("10s", "0")


def test_waiters_are_listed_with_those_they_wait_for(courses: Workspace, two: Two) -> None:
    """A queue: the second waits for the first, the third for the second; else the list is empty."""
    sql = "UPDATE course_seats SET taken = 1 WHERE id = 'c-1'"
    pids = [conn.info.backend_pid for conn in (two.first, two.second)]
    with courses.connect() as watcher, courses.connect() as third:
        assert who_waits(watcher) == []
        with two.first.transaction():
            two.first.execute(sql)
            second = two.waits(lambda conn: conn.execute(sql))
            last = Pending(courses, lambda conn: conn.execute(sql), third)
            assert last.blocked_by() == [pids[1]]
            seen = who_waits(watcher)
        second.result()
        last.result()
        queue = {Wait(pids[1], (pids[0],), sql), Wait(third.info.backend_pid, (pids[1],), sql)}
    assert set(seen) == queue


# bad input


def test_lock_is_refused_when_there_is_no_transaction(two: Two) -> None:
    """In autocommit mode it would be gone before the next statement."""
    for act in (
        lambda: lock_in_order(two.first, "course_seats", ["c-1"]),
        lambda: locks.take_turn(two.first, "hall:1"),
        lambda: locks.try_turn(two.first, "hall:1"),
        lambda: locks.limit(two.first),
    ):
        with pytest.raises(ValueError, match="begin a transaction first"):
            act()


def test_lock_is_taken_when_the_driver_begins_the_transaction(courses: Workspace) -> None:
    """Without autocommit the first statement begins one."""
    with courses.connect(autocommit=False) as conn:
        assert lock_in_order(conn, "course_seats", ["c-1"]) == ["c-1"]


def test_lock_is_refused_when_one_string_stands_for_the_list(two: Two) -> None:
    """It would be taken for its letters, lock nothing and say nothing."""
    with two.first.transaction():
        with pytest.raises(ValueError, match=r"write \['c-1'\]"):
            lock_in_order(two.first, "course_seats", "c-1")
        assert lock_in_order(two.first, "course_seats", []) == []


@pytest.mark.parametrize(
    ("lock", "statement"), [(0, 1), (-1, 1), (0.0001, 1), (1, 1), (2, 1), (float("nan"), 1)]
)
def test_limit_is_refused_when_it_would_bound_nothing(
    two: Two, lock: float, statement: float
) -> None:
    """PostgreSQL takes 0 for no limit, and never comes to the lock's if the statement's is less."""
    with two.first.transaction(), pytest.raises(ValueError, match="0 is no limit"):
        locks.limit(two.first, lock=lock, statement=statement)


def test_table_is_an_identifier_when_it_looks_like_sql(two: Two) -> None:
    """A name is quoted, whatever it holds."""
    with pytest.raises(psycopg.errors.UndefinedTable), two.first.transaction():
        lock_in_order(two.first, "course_seats; DROP TABLE enrolment", ["c-1"])


def test_waiter_is_listed_without_its_statement_when_it_is_of_another_role(
    courses: Workspace, two: Two
) -> None:
    """Who waits for whom everybody may know; what a role asks is its own."""
    with psycopg.connect(courses.role("other"), autocommit=True) as other:
        with two.first.transaction():
            locks.take_turn(two.first, "hall:1")
            turn = Pending(courses, in_transaction(lambda c: locks.take_turn(c, "hall:1")), other)
            assert turn.blocked_by() == [two.first.info.backend_pid]
            [wait] = who_waits(two.second)
        turn.result()
    assert wait.blocked_by == (two.first.info.backend_pid,)
    assert "hall" not in wait.sql


def test_waits_are_not_shown_when_the_watcher_is_in_a_transaction(two: Two) -> None:
    """There PostgreSQL shows the first picture again and again."""
    with two.first.transaction(), pytest.raises(ValueError, match="without a transaction"):
        who_waits(two.first)
