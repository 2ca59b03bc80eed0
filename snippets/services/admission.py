"""Admission (입과): a member gets a seat on a course, is on the list, and is told so by mail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from psycopg import AsyncConnection
from psycopg.errors import ForeignKeyViolation

from snippets import outbox
from snippets.checkpoint import Checkpoint, nothing
from snippets.compensation import Work
from snippets.errors import Rejected
from snippets.saga import Saga, Step
from snippets.services.campus import Campus

# --8<-- [start:table]
CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS member (
    name text PRIMARY KEY
);
CREATE TABLE IF NOT EXISTS admission (
    id        uuid PRIMARY KEY,
    course_id text NOT NULL,
    member    text NOT NULL REFERENCES member DEFERRABLE INITIALLY DEFERRED
);
"""
# Deferred: whether the member exists is seen by COMMIT, which is what fails then.
# --8<-- [end:table]
# Waits for a concurrent transaction with the same id; locks the new row until the transaction ends.
INSERT = """
INSERT INTO admission (id, course_id, member) VALUES (%(id)s, %(course_id)s, %(member)s)
ON CONFLICT DO NOTHING
"""
KNOWN = "SELECT EXISTS (SELECT FROM member WHERE name = %s)"


@dataclass(frozen=True)
class Admission:
    """A member on the list of a course."""

    id: UUID
    course_id: str
    member: str


def confirmation(topic: str, admission: Admission) -> outbox.Event:
    """The event that `mailer` makes a mail of."""
    facts = {"member": admission.member, "course_id": admission.course_id}
    return outbox.Event(uuid5(admission.id, "confirmation"), topic, str(admission.id), facts)


# --8<-- [start:admit]
async def admit(
    conn: AsyncConnection, topic: str, admission: Admission, *, at: Checkpoint = nothing
) -> None:
    """Put the member on the list and the mail into the outbox, in one transaction; may be repeated.

    Raises:
        Rejected: there is no such member; nothing was written, no mail will be sent.
    """
    try:
        async with conn.transaction():
            if (await conn.execute(INSERT, vars(admission))).rowcount:
                await outbox.write(conn, confirmation(topic, admission))
            at("admission.written")
    except ForeignKeyViolation as error:
        raise Rejected(f"there is no member {admission.member}") from error
    at("admission.committed")
    # --8<-- [end:admit]


# --8<-- [start:work]
def work(campus: Campus, conn: AsyncConnection, topic: str) -> Work:
    """Check, take a seat at the campus, admit; `conn` is the admission service's own database."""

    async def member_is_known(data: Mapping[str, Any]) -> None:
        row = await (await conn.execute(KNOWN, (data["member"],))).fetchone()
        if row != (True,):
            raise Rejected(f"there is no member {data['member']}")

    async def decide(data: Mapping[str, Any]) -> None:
        await admit(conn, topic, Admission(UUID(data["id"]), data["course_id"], data["member"]))

    steps = (Step("seat", campus.take, campus.give_back), Step("admit", decide, kind="pivot"))
    return Work([member_is_known], Saga("admit", steps))
    # --8<-- [end:work]
