"""A crowd counts what its sessions did, and does not hide what it did not expect."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg
import pytest

from handbook.errors import UsageError
from handbook.lab import Meeting, Tally, Workspace, all_at_once
from handbook.lab.crowd import Work
from handbook.lab.waiting import DeadlinePassedError
from handbook.stack import Stack

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def workspace(stack: Stack) -> Iterator[Workspace]:
    """One for all tests here: they leave nothing in it."""
    with contextlib.closing(Workspace.create(stack, "crowd")) as made:
        yield made


def test_calls_are_counted_by_how_they_ended(workspace: Workspace) -> None:
    """What returned is done; what raised is counted by SQLSTATE, or by its class."""

    def ends(error: Exception | None, sql: str = "SELECT 1") -> Work:
        def work(conn: psycopg.Connection) -> None:
            conn.execute(sql.encode())
            if error:
                raise error

        return work

    works = [ends(None), ends(KeyError()), ends(None, "SELECT 1/0")]
    tally = all_at_once(workspace, works, times=3, refusals=(psycopg.Error, KeyError))
    assert tally == Tally(3, {"22012": 3, "KeyError": 3})


def test_sessions_are_all_connected_before_the_first_works(workspace: Workspace) -> None:
    """Each session has its own connection, and they overlap."""
    pids: list[int] = []
    meet = Meeting("here", 4)

    def work(conn: psycopg.Connection) -> None:
        meet("elsewhere")
        meet("here")
        pids.append(conn.info.backend_pid)

    assert all_at_once(workspace, [work] * 4) == Tally(4, {})
    assert len(set(pids)) == 4


def test_unexpected_error_is_raised_when_others_wait_for_its_thread(workspace: Workspace) -> None:
    """The cause comes to the caller, not the deadline of those who waited."""

    def fails(_: psycopg.Connection) -> None:
        raise KeyError("cause")

    meet = Meeting("here", 2, patience=0.2)
    with pytest.raises(KeyError, match="cause"):
        all_at_once(workspace, [lambda _: meet("here"), fails])


def test_meeting_is_passed_when_a_thread_comes_again(workspace: Workspace) -> None:
    """`first_only`: a retry does not wait for others who will not come again."""
    meet = Meeting("here", 2, first_only=True)

    def work(_: psycopg.Connection) -> None:
        meet("here")
        meet("here")

    assert all_at_once(workspace, [work] * 2) == Tally(2, {})


def test_meeting_fails_when_too_few_come() -> None:
    """Nobody waits for ever; the message says for whom."""
    alone = Meeting("here", 2, patience=0.05)
    with pytest.raises(DeadlinePassedError, match="2 threads to come to `here`"):
        alone("here")


@pytest.mark.parametrize(("works", "times"), [(0, 1), (1, 0)])
def test_crowd_is_refused_when_nobody_would_work(
    workspace: Workspace, works: int, times: int
) -> None:
    """A run in which nothing happens is no success."""
    with pytest.raises(UsageError, match="nobody"):
        all_at_once(workspace, [lambda _: None] * works, times=times)
