"""Seats: eight clients and one counter, and moves that cross; the naive twins first."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from psycopg import Connection, IsolationLevel

from handbook.lab import Meeting, Pending, Tally, Workspace, all_at_once
from snippets import seats
from snippets.checkpoint import Checkpoint, nothing
from snippets.locks import lock_in_order
from snippets.naive import read_modify_write, unordered_locks
from snippets.retry import Policy
from snippets.seats import Conflict, NoSeat, Seats
from snippets.transact import ONCE, transact

pytestmark = pytest.mark.stack
CLIENTS, EACH = 8, 50
CALLS = CLIENTS * EACH
LONG = Policy(attempts=500, first=0.001, longest=0.02, deadline=60)
PAIRS = 10
STATEMENT = "SELECT query FROM pg_stat_activity WHERE pid = %s"

Take = Callable[[Connection], None]


@pytest.fixture
def courses(shared: Workspace) -> Workspace:
    """Two courses with more seats than anybody takes here."""
    shared.execute("DROP TABLE IF EXISTS enrolment, course_seats")
    shared.execute(seats.CREATE_TABLE)
    shared.execute("INSERT INTO course_seats (id, capacity) VALUES ('c-1', 1000), ('c-2', 1000)")
    return shared


def taken(courses: Workspace, course_id: str = "c-1") -> int:
    """What the counter says."""
    with courses.connect() as conn:
        return seats.read(conn, course_id).taken


def in_transaction(take: Take, level: IsolationLevel = IsolationLevel.READ_COMMITTED) -> Take:
    """One try, in a transaction of its own."""
    return lambda conn: transact(conn, take, level=level, policy=ONCE)


def naive(at: Checkpoint = nothing) -> Take:
    """Read, add, write."""
    return lambda conn: read_modify_write.take(conn, "c-1", at=at)


def under_for_update(conn: Connection) -> None:
    """The naive code after the lock: nobody writes between its read and its write."""
    lock_in_order(conn, "course_seats", ["c-1"])
    read_modify_write.take(conn, "c-1")


# E4, E5: lost update


def test_seats_are_lost_when_clients_read_before_others_write(courses: Workspace) -> None:
    """Eight read the same number and write the same sum: each round keeps one seat of eight."""
    take = in_transaction(naive(at=Meeting("seats.read", CLIENTS)))
    assert all_at_once(courses, [take] * CLIENTS, times=EACH) == Tally(CALLS, {})
    assert taken(courses) == EACH


@pytest.mark.parametrize(
    "take",
    [
        lambda conn: seats.take(conn, "c-1"),
        lambda conn: seats.take_locked(conn, "c-1"),
        under_for_update,
    ],
    ids=["atomic", "locked", "for-update-then-naive"],
)
def test_no_seat_is_lost_when_eight_clients_take_fifty_each(courses: Workspace, take: Take) -> None:
    """One statement, or a lock before the read: nobody is refused and every seat is counted."""
    tally = all_at_once(courses, [in_transaction(take)] * CLIENTS, times=EACH)
    assert tally == Tally(CALLS, {})
    assert taken(courses) == CALLS


def test_one_of_eight_succeeds_when_all_have_read_one_version(courses: Workspace) -> None:
    """The version decides: the others are told, and nothing is overwritten."""
    meet = Meeting("seats.read", CLIENTS)
    take = in_transaction(lambda conn: seats.take_versioned(conn, "c-1", at=meet))
    tally = all_at_once(courses, [take] * CLIENTS, times=EACH, refusals=(Conflict,))
    assert tally == Tally(EACH, {"Conflict": CALLS - EACH})
    assert taken(courses) == EACH


def test_no_seat_is_lost_when_a_conflict_is_retried(courses: Workspace) -> None:
    """Every client comes again with a new read, until each has its seats; some really had to."""
    meet, reads = Meeting("seats.read", CLIENTS, first_only=True), []

    def read(point: str) -> None:
        reads.append(point)
        meet(point)

    def take(conn: Connection) -> None:
        seats.take_versioned(conn, "c-1", at=read)

    def insist(conn: Connection) -> None:
        transact(conn, take, level=IsolationLevel.READ_COMMITTED, policy=LONG)

    assert all_at_once(courses, [insist] * CLIENTS, times=EACH) == Tally(CALLS, {})
    assert taken(courses) == CALLS
    assert len(reads) - CALLS >= CLIENTS - 1


def test_losers_are_refused_when_repeatable_read_is_not_retried(courses: Workspace) -> None:
    """The naive code at REPEATABLE READ loses nothing: what counts, succeeded; 40001 the rest."""
    meet = Meeting("seats.read", CLIENTS)
    take = in_transaction(naive(at=meet), IsolationLevel.REPEATABLE_READ)
    tally = all_at_once(courses, [take] * CLIENTS, times=EACH)
    assert tally == Tally(EACH, {"40001": CALLS - EACH})
    assert taken(courses) == tally.done


def test_no_seat_is_lost_when_repeatable_read_is_retried(courses: Workspace) -> None:
    """The naive code at REPEATABLE READ, each transaction again after its 40001."""
    take = naive(at=Meeting("seats.read", CLIENTS, first_only=True))

    def insist(conn: Connection) -> None:
        transact(conn, take, level=IsolationLevel.REPEATABLE_READ, policy=LONG)

    assert all_at_once(courses, [insist] * CLIENTS, times=EACH) == Tally(CALLS, {})
    assert taken(courses) == CALLS


def test_update_is_lost_when_a_writer_does_not_raise_the_version(courses: Workspace) -> None:
    """The assumption of the version: who leaves it alone is overwritten unseen."""
    with courses.connect() as conn:
        before = seats.read(conn, "c-1")
        conn.execute("UPDATE course_seats SET taken = 7 WHERE id = 'c-1'")
        seats.save(conn, before, before.one_more())
    assert taken(courses) == 1


def test_version_is_checked_when_read_and_write_are_hours_apart(courses: Workspace) -> None:
    """Read in one transaction, written in another: a form that somebody overtook is refused."""
    with courses.connect() as form, courses.connect() as other:
        before = seats.read(form, "c-1")
        seats.take(other, "c-1")
        with pytest.raises(Conflict):
            seats.save(form, before, before.one_more())
        now = seats.read(form, "c-1")
        seats.save(form, now, now.one_more())
        assert seats.read(form, "c-1") == Seats("c-1", capacity=1000, taken=2, version=2)


@pytest.mark.parametrize(
    "take", [seats.take, seats.take_locked, seats.take_versioned, read_modify_write.take]
)
def test_seat_is_refused_when_none_is_left(
    courses: Workspace, take: Callable[[Connection, str], None]
) -> None:
    """A full course and a course that does not exist: rejected, nothing is written."""
    with courses.connect() as conn:
        seats.open_course(conn, "full", 1)
        seats.take(conn, "full")
        for course_id in ("full", "nowhere"):
            with pytest.raises(NoSeat):
                take(conn, course_id)
        assert seats.read(conn, "full") == Seats("full", capacity=1, taken=1, version=1)


def test_seats_are_filled_exactly_when_more_ask_than_there_are(courses: Workspace) -> None:
    """The condition is in the statement that writes: not one seat too many, not one left over."""
    with courses.connect() as conn:
        seats.open_course(conn, "small", 30)
    tally = all_at_once(
        courses, [lambda conn: seats.take(conn, "small")] * CLIENTS, times=5, refusals=(NoSeat,)
    )
    assert tally == Tally(30, {"NoSeat": 10})
    assert taken(courses, "small") == 30


# E8: deadlock


@pytest.fixture
def pairs(courses: Workspace) -> Workspace:
    """Two courses a pair, five seats taken in each."""
    courses.execute("""
        INSERT INTO course_seats (id, capacity, taken)
        SELECT side || n, 100, 5 FROM generate_series(1, 10) n, unnest(ARRAY['a-', 'b-']) side
    """)
    return courses


def moves(move: Callable[..., None], *, meetings: bool) -> list[Take]:
    """For each pair two members who change places: one move each, at the same time."""

    def moving(source: str, target: str, at: Checkpoint) -> Take:
        return in_transaction(lambda conn: move(conn, source, target, at=at))

    works: list[Take] = []
    for pair in range(1, PAIRS + 1):
        meet = Meeting("seats.given_back", 2) if meetings else nothing
        a, b = f"a-{pair}", f"b-{pair}"
        works += [moving(a, b, meet), moving(b, a, meet)]
    return works


def sums(pairs: Workspace) -> list[int]:
    """The seats that are taken in each pair: nobody comes, nobody goes."""
    rows = pairs.fetch("""
        SELECT sum(taken)::int FROM course_seats WHERE id LIKE 'a-%%' OR id LIKE 'b-%%'
        GROUP BY split_part(id, '-', 2)
    """)
    return [total for (total,) in rows]


def test_one_move_is_refused_when_two_lock_in_opposite_order(pairs: Workspace) -> None:
    """Each pair ends with exactly one 40P01; the other move is done."""
    tally = all_at_once(pairs, moves(unordered_locks.move, meetings=True))
    assert tally == Tally(PAIRS, {"40P01": PAIRS})
    assert sums(pairs) == [10] * PAIRS


def test_nobody_is_refused_when_courses_are_locked_in_order(pairs: Workspace) -> None:
    """The same moves, again and again: no deadlock, and the sum is exact."""
    tally = all_at_once(pairs, moves(seats.move, meetings=False), times=5)
    assert tally == Tally(2 * PAIRS * 5, {})
    assert sums(pairs) == [10] * PAIRS


def test_second_move_waits_at_its_first_lock_when_both_lock_in_order(pairs: Workspace) -> None:
    """The crossing move holds nothing while it waits: there is no circle to break."""
    move_back = in_transaction(lambda conn: seats.move(conn, "b-1", "a-1"))
    with pairs.connect() as second, pairs.connect() as first:
        with first.transaction():
            seats.move(first, "a-1", "b-1")
            crossing = Pending(pairs, move_back, second)
            assert crossing.blocked_by() == [first.info.backend_pid]
            assert pairs.value(STATEMENT, (second.info.backend_pid,)).startswith("SELECT id FROM")
        crossing.result()
    assert sums(pairs) == [10] * PAIRS


def test_deadlock_costs_a_repeat_when_it_is_retried(pairs: Workspace) -> None:
    """Retry mends what the order would have avoided: both moves are done, one a second late."""
    meet = Meeting("seats.given_back", 2, first_only=True)

    def insist(source: str, target: str) -> Take:
        def work(conn: Connection) -> None:
            unordered_locks.move(conn, source, target, at=meet)

        return lambda conn: transact(conn, work, level=IsolationLevel.READ_COMMITTED)

    assert all_at_once(pairs, [insist("a-1", "b-1"), insist("b-1", "a-1")]) == Tally(2, {})
    assert sums(pairs) == [10] * PAIRS


def test_seat_is_kept_when_the_other_course_is_full(courses: Workspace) -> None:
    """A move is both or none; a course without members has nobody to move."""
    with courses.connect() as conn:
        seats.open_course(conn, "full", 0)
        seats.take(conn, "c-1")
        for source, target in (("c-1", "full"), ("c-2", "c-1")):
            with pytest.raises(NoSeat), conn.transaction():
                seats.move(conn, source, target)
    assert (taken(courses), taken(courses, "c-2")) == (1, 0)
