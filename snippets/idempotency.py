"""Idempotency key: the client names its intent once, and a repeat gets the reply of the first.

Guarantees:
    Of all requests with one key, one has its effect; the others get its stored reply.
    A repeat that comes while the first is at work is told so (`InFlight`, 409), one with another
    content is refused (`Reused`, 422).
    When the worker dies, another may take over after the lease; a late first worker then fails in
    `finish`, and its transaction with it.

Does not guarantee:
    Anything to a client that makes a new key for its retry: that is a new intent.
    Effects outside the transaction of `finish`, such as calls: give them the key, too.

Assumes:
    `finish` is in the transaction of the effect. Keys are kept longer than any client retries.

Proved by:
    E26 tests/snippets/test_idempotency.py::test_effect_happens_once_when_eight_clients_repeat
    E26 tests/snippets/test_idempotency.py::test_late_worker_is_refused_when_another_took_over

Source: IETF, draft-ietf-httpapi-idempotency-key-header; RFC 9110, 9.2.2 Idempotent Methods.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from psycopg import AsyncConnection

from snippets.errors import Rejected, Retriable

# --8<-- [start:table]
CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS idempotency_key (
    scope        text NOT NULL,        -- who asks for what: the caller and the operation
    key          text NOT NULL,
    fingerprint  text NOT NULL,        -- of the request: the same key with another content is a bug
    owner        uuid NOT NULL,        -- the worker that may finish
    locked_until timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    status       int,                  -- NULL while at work
    body         text,
    PRIMARY KEY (scope, key)
)
"""
# --8<-- [end:table]

# --8<-- [start:claim_sql]
# The primary key decides between requests that come at once: the second waits for the first one's
# commit. Taken over is only what expired, or the same request after its worker's lease.
CLAIM = """
INSERT INTO idempotency_key AS k (scope, key, fingerprint, owner, locked_until, expires_at)
VALUES (%(scope)s, %(key)s, %(fingerprint)s, %(owner)s, %(locked_until)s, %(expires_at)s)
ON CONFLICT (scope, key) DO UPDATE SET
    fingerprint = excluded.fingerprint, owner = excluded.owner, status = NULL, body = NULL,
    locked_until = excluded.locked_until, expires_at = excluded.expires_at
WHERE k.expires_at < %(now)s
   OR (k.status IS NULL AND k.locked_until < %(now)s AND k.fingerprint = excluded.fingerprint)
"""
# --8<-- [end:claim_sql]
LOOK = "SELECT fingerprint, status, body FROM idempotency_key WHERE scope = %s AND key = %s"
FINISH = """
UPDATE idempotency_key SET status = %s, body = %s
WHERE scope = %s AND key = %s AND owner = %s AND status IS NULL
"""
RELEASE = """
DELETE FROM idempotency_key WHERE scope = %s AND key = %s AND owner = %s AND status IS NULL
"""
FORGET = "DELETE FROM idempotency_key WHERE expires_at < %s"


class InFlight(Retriable):
    """Somebody works on this key, or took it over; ask again later (409)."""


class Reused(Rejected):
    """The key belongs to a request with another content (422)."""


@dataclass(frozen=True)
class Reply:
    """What the first request was answered."""

    status: int
    body: str


@dataclass(frozen=True)
class Claim:
    """The right to do the work of one key, until somebody takes it over."""

    scope: str
    key: str
    owner: UUID


def fingerprint(method: str, path: str, content: bytes) -> str:
    """What makes two requests the same."""
    return hashlib.sha256(b"\0".join([method.encode(), path.encode(), content])).hexdigest()


def utc_now() -> datetime:
    """The default clock."""
    return datetime.now(UTC)


# --8<-- [start:claim]
async def claim(
    conn: AsyncConnection,
    scope: str,
    key: str,
    request: str,
    *,
    lease: timedelta = timedelta(seconds=30),
    keep: timedelta = timedelta(days=1),
    clock: Callable[[], datetime] = utc_now,
    new_id: Callable[[], UUID] = uuid4,
) -> Claim | Reply:
    """The right to work on `key`, or the reply that was given. Commit it before the work begins.

    Args:
        conn: The caller's transaction.
        scope: Who asks for what; keys of different scopes never meet.
        key: The client's name for its intent.
        request: The request's `fingerprint`.
        lease: After this time another worker may take over.
        keep: After this time the key is new again.
        clock: The time, with its zone.
        new_id: Makes the owner.

    Raises:
        InFlight: another worker has the key.
        Reused: the key belongs to another request.
    """
    now, mine = clock(), Claim(scope, key, new_id())
    values = {**vars(mine), "fingerprint": request, "now": now}
    values |= {"locked_until": now + lease, "expires_at": now + keep}
    if (await conn.execute(CLAIM, values)).rowcount:
        return mine
    row = await (await conn.execute(LOOK, (scope, key))).fetchone()
    if row is None:  # released in this very moment
        raise InFlight(f"key {key} was just released")
    known, status, body = row
    if known != request:
        raise Reused(f"key {key} was used for another request")
    if status is None:
        raise InFlight(f"a request with key {key} is at work")
    return Reply(status, body)
    # --8<-- [end:claim]


# --8<-- [start:finish]
async def finish(conn: AsyncConnection, mine: Claim, reply: Reply) -> None:
    """Keep the reply in the transaction of the effect; never commits.

    Raises:
        InFlight: another worker took over after the lease; roll the effect back.
    """
    values = (reply.status, reply.body, mine.scope, mine.key, mine.owner)
    if not (await conn.execute(FINISH, values)).rowcount:
        raise InFlight(f"another worker took key {mine.key} over")
    # --8<-- [end:finish]


async def release(conn: AsyncConnection, mine: Claim) -> None:
    """Give the key back after work that had no effect: a retry begins anew.

    What is finished stays, also when its worker does not know that the commit went through.
    """
    await conn.execute(RELEASE, (mine.scope, mine.key, mine.owner))


async def forget(conn: AsyncConnection, *, clock: Callable[[], datetime] = utc_now) -> int:
    """Delete what has expired; returns how many."""
    return (await conn.execute(FORGET, (clock(),))).rowcount
