"""A pending call says for whom it waits, and how it ended."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg
import pytest

from handbook.lab import Pending, Workspace
from handbook.lab.pending import DidNotWaitError
from handbook.lab.waiting import DeadlinePassedError
from handbook.stack import Stack

pytestmark = pytest.mark.stack
Sessions = tuple[psycopg.Connection, psycopg.Connection]


@pytest.fixture(scope="module")
def workspace(stack: Stack) -> Iterator[Workspace]:
    """One for all tests here: they leave nothing in it."""
    with contextlib.closing(Workspace.create(stack, "pending")) as made:
        yield made


@pytest.fixture
def sessions(workspace: Workspace) -> Iterator[Sessions]:
    """Two."""
    with workspace.connect() as second, workspace.connect() as first:
        yield first, second


def lock(conn: psycopg.Connection, number: int = 1) -> int:
    """Wait for a lock, and give it back."""
    conn.execute("SELECT pg_advisory_xact_lock(%s)", (number,))
    return number


def test_call_is_blocked_until_the_other_session_ends_its_transaction(
    workspace: Workspace, sessions: Sessions
) -> None:
    """It names the holder's process, and returns what the call returned."""
    first, second = sessions
    with first.transaction():
        lock(first)
        call = Pending(workspace, lock, second, number=1)
        assert call.blocked_by() == [first.info.backend_pid]
    assert (call.result(), call.sqlstate()) == (1, None)


def test_call_tells_its_error_when_it_failed(workspace: Workspace, sessions: Sessions) -> None:
    """By SQLSTATE when it is the database's; any other is raised."""
    _, second = sessions
    call = Pending(workspace, lambda conn: conn.execute("SELECT 1/0"), second)
    assert call.sqlstate() == "22012"
    with pytest.raises(psycopg.errors.DivisionByZero):
        call.result()
    with pytest.raises(ZeroDivisionError):
        Pending(workspace, lambda _: 1 // 0, second).sqlstate()


def test_check_fails_when_the_call_does_not_wait(workspace: Workspace, sessions: Sessions) -> None:
    """Twin: a call that passes is no proof of a lock."""
    first, second = sessions
    with first.transaction():
        lock(first)
        call = Pending(workspace, lock, second, 2)
        with pytest.raises(DidNotWaitError, match="did not wait"):
            call.blocked_by()


def test_check_fails_when_the_call_is_only_slow(workspace: Workspace, sessions: Sessions) -> None:
    """Twin: a statement that works is not one that waits for a lock."""
    _, second = sessions
    call = Pending(workspace, lambda conn: conn.execute("SELECT pg_sleep(0.5)"), second)
    with pytest.raises(DeadlinePassedError, match="wait for a lock"):
        call.blocked_by(deadline=0.1)
    call.result()
