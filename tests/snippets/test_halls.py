"""Halls: two courses book one hall at one time; the row that is not there yet cannot be locked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import Connection, IsolationLevel

from handbook.lab import Meeting, Pending, Tally, Workspace, all_at_once
from snippets import halls
from snippets.checkpoint import Checkpoint, nothing
from snippets.halls import Occupied, Period
from snippets.locks import take_turn
from snippets.naive import lock_what_is_there
from snippets.retry import Policy
from snippets.transact import ONCE, transact

pytestmark = pytest.mark.stack
ROUNDS = 10
NINE = datetime(2026, 11, 24, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
NINE_TO_ELEVEN = Period(NINE, NINE + 2 * HOUR)
TEN_TO_TWELVE = Period(NINE + HOUR, NINE + 3 * HOUR)
ELEVEN_TO_TWELVE = Period(NINE + 2 * HOUR, NINE + 3 * HOUR)
RC, SER = IsolationLevel.READ_COMMITTED, IsolationLevel.SERIALIZABLE
Book = Callable[..., None]


@pytest.fixture
def open_halls(shared: Workspace) -> Workspace:
    """Bookings without a constraint."""
    shared.execute("DROP TABLE IF EXISTS hall_booking")
    shared.execute(halls.CREATE_TABLE)
    return shared


@pytest.fixture
def guarded(open_halls: Workspace) -> Workspace:
    """Bookings that cannot overlap."""
    open_halls.execute(halls.NO_OVERLAP)
    return open_halls


def two_courses(
    workspace: Workspace,
    book: Book,
    level: IsolationLevel = RC,
    *,
    overlap: bool = True,
    policy: Policy | None = None,
) -> Tally:
    """In every hall two courses book times that overlap; with `overlap` both look, then insert."""
    meetings = [
        (Meeting("halls.looked", 2, first_only=True) if overlap else nothing) for _ in range(ROUNDS)
    ]

    def work(course_id: str, during: Period) -> Callable[[Connection], None]:
        rounds = iter(range(ROUNDS))

        def once(conn: Connection) -> None:
            hall = next(rounds)
            at = meetings[hall]
            transact(
                conn,
                lambda c: book(c, hall, during, course_id, at=at),
                level=level,
                policy=policy,
            )

        return once

    works = [work("c-1", NINE_TO_ELEVEN), work("c-2", TEN_TO_TWELVE)]
    return all_at_once(workspace, works, times=ROUNDS, refusals=(Occupied, psycopg.Error))


def occupants(workspace: Workspace) -> list[int]:
    """How many courses have each hall."""
    with workspace.connect() as conn:
        return [len(halls.booked(conn, hall)) for hall in range(ROUNDS)]


def book_in_turn(
    conn: Connection, hall: int, during: Period, course_id: str, *, at: Checkpoint = nothing
) -> None:
    """The naive code behind a lock on the hall's name, which exists before any booking does."""
    take_turn(conn, f"hall:{hall}")
    lock_what_is_there.book(conn, hall, during, course_id, at=at)


def test_insert_passes_when_all_matching_rows_are_locked(open_halls: Workspace) -> None:
    """FOR UPDATE over the rows of a hall: another row of that hall is inserted without waiting."""
    everything = Period(NINE, NINE + 24 * HOUR)
    with open_halls.connect() as locker, open_halls.connect() as other:
        lock_what_is_there.book(locker, 1, ELEVEN_TO_TWELVE, "c-1")
        with locker.transaction():
            look = (lock_what_is_there.LOOK, (1, everything))
            assert locker.execute(*look).fetchall() == [("c-1",)]
            other.execute("SET lock_timeout = '1s'")
            other.execute(lock_what_is_there.INSERT, (1, NINE_TO_ELEVEN, "c-2"))
            assert sorted(locker.execute(*look).fetchall()) == [("c-1",), ("c-2",)]


def test_two_courses_get_one_hall_when_existing_rows_are_locked(open_halls: Workspace) -> None:
    """Both look, both find nothing to lock, both insert: booked twice in every round."""
    tally = two_courses(open_halls, lock_what_is_there.book)
    assert tally == Tally(2 * ROUNDS, {})
    assert occupants(open_halls) == [2] * ROUNDS


@pytest.mark.parametrize(("level", "policy"), [(RC, ONCE), (SER, Policy())])
def test_one_course_gets_the_hall_when_a_constraint_decides(
    guarded: Workspace, level: IsolationLevel, policy: Policy
) -> None:
    """Two at once: one is in, the other is told; at READ COMMITTED without a retry."""
    tally = two_courses(guarded, halls.book, level, overlap=False, policy=policy)
    assert tally == Tally(ROUNDS, {"Occupied": ROUNDS})
    assert occupants(guarded) == [1] * ROUNDS


def test_constraint_holds_when_the_code_is_naive(guarded: Workspace) -> None:
    """Both look and find nothing, as without it: the second INSERT is refused."""
    tally = two_courses(guarded, lock_what_is_there.book, policy=ONCE)
    assert tally.done == sum(tally.refused.values()) == ROUNDS
    assert set(tally.refused) <= {"23P01", "40P01"}  # a circle when both inserts are in the index
    assert occupants(guarded) == [1] * ROUNDS


def test_one_course_gets_the_hall_when_all_are_serializable(open_halls: Workspace) -> None:
    """No constraint, the naive code: one gets 40001, looks again and finds the other."""
    tally = two_courses(open_halls, lock_what_is_there.book, SER)
    assert tally == Tally(ROUNDS, {"Occupied": ROUNDS})
    assert occupants(open_halls) == [1] * ROUNDS


def test_one_course_gets_the_hall_when_they_take_turns(open_halls: Workspace) -> None:
    """A lock on a name that exists stands for the rows that do not."""
    tally = two_courses(open_halls, book_in_turn, overlap=False)
    assert tally == Tally(ROUNDS, {"Occupied": ROUNDS})
    assert occupants(open_halls) == [1] * ROUNDS


def test_booking_waits_when_an_overlapping_one_is_open(guarded: Workspace) -> None:
    """Another hall and the next hour pass; the same time waits for the commit, then is refused."""
    with guarded.connect() as second, guarded.connect() as first:
        with first.transaction():
            halls.book(first, 1, NINE_TO_ELEVEN, "c-1")
            second.execute("SET lock_timeout = '10s'")
            halls.book(second, 2, NINE_TO_ELEVEN, "c-2")
            halls.book(second, 1, ELEVEN_TO_TWELVE, "c-3")
            booking = Pending(guarded, halls.book, second, 1, TEN_TO_TWELVE, "c-4")
            assert booking.blocked_by() == [first.info.backend_pid]
        with pytest.raises(Occupied):
            booking.result()
        assert halls.booked(first, 1) == ["c-1", "c-3"]


def test_overlap_passes_when_the_key_is_only_unique(open_halls: Workspace) -> None:
    """UNIQUE stops a second booking of the very same time, and of no other."""
    open_halls.execute(halls.SAME_TIME)
    with open_halls.connect() as conn:
        halls.book(conn, 1, NINE_TO_ELEVEN, "c-1")
        with pytest.raises(Occupied):
            halls.book(conn, 1, NINE_TO_ELEVEN, "c-2")
        halls.book(conn, 1, TEN_TO_TWELVE, "c-3")
        assert halls.booked(conn, 1) == ["c-1", "c-3"]


def test_booking_is_refused_when_it_lasts_no_time(guarded: Workspace) -> None:
    """An empty range overlaps nothing: without the check it would pass every constraint."""
    with guarded.connect() as conn, pytest.raises(psycopg.errors.CheckViolation):
        halls.book(conn, 1, Period(NINE, NINE), "c-1")
