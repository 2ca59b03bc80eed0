"""Breaks a promise: the mail is sent inside the transaction, and COMMIT fails.

The member has it in writing, and is on no list. A mail has no compensation.
The right way: `snippets.services.admission.admit`, whose mail waits in the outbox.

Proved by:
    E18 tests/snippets/test_compensation.py::test_each_failed_commit_is_a_false_mail_when_sent_first
"""

from __future__ import annotations

from uuid import uuid5

from psycopg import AsyncConnection
from psycopg.errors import ForeignKeyViolation

from snippets.checkpoint import Checkpoint, nothing
from snippets.errors import Rejected
from snippets.services.admission import INSERT, Admission
from snippets.services.mailer import Send, confirmed


# --8<-- [start:admit]
async def admit(
    conn: AsyncConnection, send: Send, admission: Admission, *, at: Checkpoint = nothing
) -> None:
    """Put the member on the list and send the mail; raises `Rejected` when it is too late."""
    try:
        async with conn.transaction():
            if (await conn.execute(INSERT, vars(admission))).rowcount:
                await send(confirmed(uuid5(admission.id, "confirmation"), vars(admission)))
            at("admission.written")
    except ForeignKeyViolation as error:
        raise Rejected(f"there is no member {admission.member}") from error
    at("admission.committed")
    # --8<-- [end:admit]
