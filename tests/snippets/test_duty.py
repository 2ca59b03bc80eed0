"""Duty: two managers step down at once; write skew at every level, and what stops it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from psycopg import Connection, IsolationLevel

from handbook.lab import Meeting, Pending, Tally, Workspace, all_at_once
from snippets import duty
from snippets.checkpoint import nothing
from snippets.duty import LastOnDuty
from snippets.naive import check_then_write
from snippets.transact import ONCE, transact

pytestmark = pytest.mark.stack
ROUNDS = 20
MANAGERS = ("김담당", "이담당")
RC, RR, SER = (
    IsolationLevel.READ_COMMITTED,
    IsolationLevel.REPEATABLE_READ,
    IsolationLevel.SERIALIZABLE,
)


@pytest.fixture
def course(shared: Workspace) -> Workspace:
    """A course a round, two managers on duty in each."""
    shared.execute("DROP TABLE IF EXISTS duty")
    shared.execute(duty.CREATE_TABLE)
    with shared.connect() as conn:
        for number in range(ROUNDS):
            for manager in MANAGERS:
                duty.assign(conn, f"c-{number}", manager)
    return shared


def left(course: Workspace) -> list[int]:
    """How many are on duty in each course."""
    with course.connect() as conn:
        return [len(duty.on_duty(conn, f"c-{number}")) for number in range(ROUNDS)]


def both_step_down(
    course: Workspace,
    step_down: Callable[..., None],
    level: IsolationLevel,
    *,
    overlap: bool = True,
) -> Tally:
    """In every course both managers step down; with `overlap` both read before either writes."""
    meetings = [
        (Meeting("duty.read", 2, first_only=True) if overlap else nothing) for _ in range(ROUNDS)
    ]

    def work(manager: str) -> Callable[[Connection], None]:
        rounds = iter(range(ROUNDS))

        def once(conn: Connection) -> None:
            number = next(rounds)
            course_id, at = f"c-{number}", meetings[number]
            transact(conn, lambda c: step_down(c, course_id, manager, at=at), level=level)

        return once

    return all_at_once(
        course, [work(manager) for manager in MANAGERS], times=ROUNDS, refusals=(LastOnDuty,)
    )


@pytest.mark.parametrize("level", [RC, RR])
def test_nobody_is_on_duty_when_both_read_before_either_writes(
    course: Workspace, level: IsolationLevel
) -> None:
    """Write skew: both see two on duty, both write a row of their own; broken in every round."""
    tally = both_step_down(course, check_then_write.step_down, level)
    assert tally == Tally(2 * ROUNDS, {})
    assert left(course) == [0] * ROUNDS


def test_one_stays_on_duty_when_all_are_serializable(course: Workspace) -> None:
    """The same code at SERIALIZABLE: one gets 40001, reads again, and is the last one."""
    tally = both_step_down(course, check_then_write.step_down, SER)
    assert tally == Tally(ROUNDS, {"LastOnDuty": ROUNDS})
    assert left(course) == [1] * ROUNDS


@pytest.mark.parametrize("level", [RC, RR, SER])
def test_one_stays_on_duty_when_the_rows_are_locked(
    course: Workspace, level: IsolationLevel
) -> None:
    """Whoever comes second reads what the first has done; above READ COMMITTED after a 40001."""
    tally = both_step_down(course, duty.step_down, level, overlap=False)
    assert tally == Tally(ROUNDS, {"LastOnDuty": ROUNDS})
    assert left(course) == [1] * ROUNDS


def test_second_waits_when_the_first_has_not_committed(course: Workspace) -> None:
    """It is blocked by the first one, then sees what that one did: it is the last, and stays."""
    first_name, second_name = MANAGERS
    with course.connect() as second, course.connect() as first:
        with first.transaction():
            duty.step_down(first, "c-0", first_name)
            stepping_down = Pending(course, duty.step_down, second, "c-0", second_name)
            assert stepping_down.blocked_by() == [first.info.backend_pid]
        with pytest.raises(LastOnDuty):
            stepping_down.result()
        assert duty.on_duty(first, "c-0") == [second_name]


def test_rule_breaks_when_one_of_two_is_not_serializable(course: Workspace) -> None:
    """The assumption of SERIALIZABLE: who runs below it is not seen by those who trust in it."""
    step_down = check_then_write.step_down
    with course.connect() as trusting, course.connect() as other:

        def overtake(_: str) -> None:
            transact(other, lambda c: step_down(c, "c-0", MANAGERS[0]), level=RC)

        def work(conn: Connection) -> None:
            step_down(conn, "c-0", MANAGERS[1], at=overtake)

        transact(trusting, work, level=SER, policy=ONCE)
        assert duty.on_duty(trusting, "c-0") == []


@pytest.mark.parametrize("step_down", [duty.step_down, check_then_write.step_down])
def test_last_one_is_refused_when_nobody_else_is_on_duty(
    course: Workspace, step_down: Callable[[Connection, str, str], None]
) -> None:
    """One after the other both variants are right; a course without managers has none to spare."""
    with course.connect() as conn:
        step_down(conn, "c-0", MANAGERS[0])
        for course_id in ("c-0", "nowhere"):
            with pytest.raises(LastOnDuty):
                step_down(conn, course_id, MANAGERS[1])
        assert duty.on_duty(conn, "c-0") == [MANAGERS[1]]
