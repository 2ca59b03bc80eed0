"""Compensation: made rare by the order of work, and made safe by taking back a difference.

Guarantees:
    `undo` takes back what a change added, and nothing that others have done since.
    A change is undone once, however often `undo` is called, and also when `undo` comes first: the
    late change is refused.
    `run` writes nothing when a check refuses: there is nothing to compensate.

Does not guarantee:
    That `undo` succeeds: seats that were given may be taken by now (`NotEnough`, for people).
    That no compensation is needed after the checks: what they saw may change. The steps decide.

Assumes:
    `undo` is in a transaction, which is rolled back when it raises.
    What cannot be undone, such as a mail, is a row of the outbox that the pivot's transaction
    writes (`services.admission.admit`), never a call before it.

Proved by:
    E17 tests/snippets/test_compensation.py::test_other_change_is_kept_when_the_delta_is_taken_back
    E18 tests/snippets/test_compensation.py::test_no_mail_is_false_when_it_waits_in_the_outbox
    E19 tests/snippets/test_compensation.py::test_nothing_is_undone_when_checks_come_first

Source: Garcia-Molina and Salem, Sagas (SIGMOD 1987); Azure Architecture Center, Compensating
Transaction pattern; Richardson, Microservices Patterns, section 4.3.2 (pivot, retriable).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from snippets.commutative import Change, add
from snippets.saga import Call, Coordinator, Outcome, Saga

# --8<-- [start:undo_sql]
# Waits for a concurrent transaction with the same id; inserts nothing when that commits.
BURY = """
INSERT INTO seat_change (id, course_id, delta, undone)
VALUES (%(id)s, %(course_id)s, %(delta)s, true) ON CONFLICT DO NOTHING
"""
# Locks the row: of two that undo one change the second finds it undone.
MARK = "UPDATE seat_change SET undone = true WHERE id = %s AND NOT undone"
# --8<-- [end:undo_sql]


# --8<-- [start:undo]
async def undo(conn: AsyncConnection, change: Change) -> bool:
    """Take `change` back in the caller's transaction; False when there was nothing to take back.

    Raises:
        NotEnough: others have taken the seats that it gave; roll back.
    """
    if (await conn.execute(BURY, vars(change))).rowcount:
        return False  # it has not come, and is refused from now on
    if not (await conn.execute(MARK, (change.id,))).rowcount:
        return False  # a repeat
    await add(conn, change.course_id, -change.delta)
    return True
    # --8<-- [end:undo]


# --8<-- [start:work]
@dataclass(frozen=True)
class Work:
    """The work of one request, in the order in which it is done.

    Attributes:
        checks: Permission, input, what has to be read: each raises `Rejected`, none writes.
        saga: What can be undone, then the pivot, then what is repeated until it succeeds. Mails
            are sent by who reads the outbox row that the pivot has written.
    """

    checks: Sequence[Call]
    saga: Saga


async def run(
    coordinator: Coordinator, work: Work, saga_id: UUID, data: Mapping[str, Any]
) -> Outcome:
    """Check, then work.

    Raises:
        Rejected: a check said no; nothing was written.
    """
    for check in work.checks:
        await check(data)
    return await coordinator.run(work.saga, saga_id, data)
    # --8<-- [end:work]
