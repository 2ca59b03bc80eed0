"""Unit of work: what one request changes is one transaction, and only `commit` makes it last.

Guarantees:
    All or nothing: leaving the block by an exception of any kind, or without `commit`, rolls back
    whatever is not committed. So does the death of the process.
    `commit` returns when PostgreSQL has acknowledged the commit, and at no other time: a failed
    statement whose error was swallowed makes it raise, a lost acknowledgement raises `InDoubt`.

Does not guarantee:
    Consistency beyond the constraints that the tables declare, isolation beyond the connection's
    level, durability under `synchronous_commit = off`: that acknowledges before it writes.
    Anything at other services: what they have committed stays (see `saga`).

Assumes:
    The connection is in psycopg's default mode, not in autocommit, and idle.
    Writers take the connection and never commit.

Proved by:
    E12 tests/snippets/test_unit_of_work.py::test_nothing_is_kept_when_a_unit_is_left_without_commit
    R14 tests/snippets/test_unit_of_work.py::test_acknowledged_row_is_kept_when_the_server_is_killed

Source: Fowler, Patterns of Enterprise Application Architecture (2002), Unit of Work; Percival and
Gregory, Architecture Patterns with Python (2020), chapter 6; PostgreSQL 18, Reliability and the
Write-Ahead Log, Asynchronous Commit.
"""

from __future__ import annotations

from contextlib import suppress
from types import TracebackType
from typing import Self

from psycopg import Connection, OperationalError
from psycopg.pq import TransactionStatus

from snippets.checkpoint import Checkpoint, nothing
from snippets.errors import InDoubt, Rejected


class Spoiled(Rejected):
    """A statement of the unit failed: PostgreSQL answers this COMMIT with a rollback."""


class UnitOfWork:
    """The transaction of one `with` block on `conn`.

    Raises:
        ValueError: at its beginning, when the connection is in autocommit mode or not idle.
    """

    def __init__(self, conn: Connection, *, at: Checkpoint = nothing) -> None:
        self._conn = conn
        self._at = at

    # --8<-- [start:unit]
    def __enter__(self) -> Self:
        if self._conn.autocommit:
            raise ValueError("in autocommit mode each statement commits itself: switch it off")
        if (status := self._conn.info.transaction_status) is not TransactionStatus.IDLE:
            raise ValueError(f"the connection is {status.name}, not IDLE: end what was begun on it")
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        with suppress(OperationalError):  # a lost connection has rolled back already
            self._conn.rollback()
            # --8<-- [end:unit]

    # --8<-- [start:commit]
    def commit(self) -> None:
        """Make the changes last; what follows in the block is not part of them.

        Raises:
            Spoiled: a statement has failed and its error was swallowed; nothing was done.
            InDoubt: the connection broke before the acknowledgement came.
            psycopg.Error: PostgreSQL refused, by SQLSTATE; nothing was done.
        """
        if self._conn.info.transaction_status is TransactionStatus.INERROR:
            raise Spoiled("a statement of this unit failed; begin a new unit")
        self._at("unit.committing")
        try:
            self._conn.commit()
        except OperationalError as error:
            if self._conn.broken:
                raise InDoubt("the connection broke during COMMIT") from error
            raise
        self._at("unit.committed")
        # --8<-- [end:commit]
