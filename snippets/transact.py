"""Transact: a whole transaction at a stated isolation level, again when it lost a race.

Guarantees:
    `work` is committed at most once; when `transact` returns, it was.
    At REPEATABLE READ no update is lost: a row that changed since the snapshot ends it with 40001.
    At SERIALIZABLE what was committed could have run one after the other: no write skew, either.
    A repeat begins with a new snapshot: `work` reads and decides again.

Does not guarantee:
    That `work` runs once: what it does outside the database happens with each run.
    The outcome when the connection breaks during COMMIT: that error is raised as it came.

Assumes:
    All that write what a rule is about are SERIALIZABLE, when that is to protect the rule.
    `work` uses `conn` only, and is short: the longer it takes, the more races it loses.

Proved by:
    E4 tests/snippets/test_seats.py::test_no_seat_is_lost_when_repeatable_read_is_retried
    E5 tests/snippets/test_seats.py::test_losers_are_refused_when_repeatable_read_is_not_retried
    E6 tests/snippets/test_duty.py::test_one_stays_on_duty_when_all_are_serializable
    tests/snippets/test_transact.py::test_work_is_run_again_when_it_lost_a_race

Source: PostgreSQL 18, 13.2 Transaction Isolation, 13.5 Serialization Failure Handling; Ports and
Grittner, Serializable Snapshot Isolation in PostgreSQL (VLDB 2012).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from psycopg import Connection, IsolationLevel
from psycopg.pq import TransactionStatus

from snippets.retry import Policy, retrying_sync

Result = TypeVar("Result")

# Must be the first statement of its transaction; takes no lock.
SET_LEVEL = {
    IsolationLevel.READ_COMMITTED: "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
    IsolationLevel.REPEATABLE_READ: "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    IsolationLevel.SERIALIZABLE: "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
}
ONCE = Policy(attempts=1)


# --8<-- [start:transact]
def transact(
    conn: Connection,
    work: Callable[[Connection], Result],
    *,
    level: IsolationLevel = IsolationLevel.SERIALIZABLE,
    policy: Policy | None = None,
    sleep: Callable[[float], None] = time.sleep,
    rng: random.Random | None = None,
) -> Result:
    """What `work` returned in the run that was committed.

    Args:
        conn: Without a transaction; it is begun and ended here.
        work: Gets `conn`, reads, decides and writes.
        level: READ COMMITTED, REPEATABLE READ or SERIALIZABLE.
        policy: How often and how long to try; `ONCE` leaves retrying to the caller.
        sleep: Waits so many seconds between two runs.
        rng: For the pauses.

    Raises:
        ValueError: `conn` is in a transaction, or PostgreSQL does not have `level`.
        psycopg.Error: 40001 or 40P01 when the attempts are used up, any other at once.
    """
    if conn.info.transaction_status is not TransactionStatus.IDLE:
        raise ValueError("end the transaction first: only a whole one can be run again")
    if level not in SET_LEVEL:
        raise ValueError("choose READ_COMMITTED, REPEATABLE_READ or SERIALIZABLE")

    def run() -> Result:
        with conn.transaction():
            conn.execute(SET_LEVEL[level])
            return work(conn)

    return retrying_sync(policy, sleep=sleep, rng=rng)(run)
    # --8<-- [end:transact]
