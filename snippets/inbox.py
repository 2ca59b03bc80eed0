"""Inbox: a consumer remembers what it has handled, in the transaction of the effect.

Guarantees:
    The effect of one event happens once per consumer, however often the event is delivered, also
    when two deliveries are handled at the same time.

Does not guarantee:
    Anything outside the transaction: a mail sent by the handler is sent again.
    Order: a repeat that arrives late is skipped, not put back in its place.

Assumes:
    Effect and `first_time` are in one transaction.
    Ids are remembered longer than Kafka keeps, and anybody replays, the topic.

Proved by:
    E22 tests/snippets/test_inbox.py::test_effect_happens_once_when_an_event_is_delivered_twice
    E22 tests/snippets/test_inbox.py::test_effect_happens_once_when_two_deliveries_race

Source: Richardson, microservices.io, Idempotent consumer; PostgreSQL 18, INSERT, ON CONFLICT.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from psycopg import AsyncConnection

CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS inbox (
    consumer    text NOT NULL,
    event_id    uuid NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, event_id)
)
"""

# Waits for a concurrent transaction that inserts the same key, and inserts nothing if that commits.
REMEMBER = """
INSERT INTO inbox (consumer, event_id) VALUES (%s, %s) ON CONFLICT DO NOTHING
"""
FORGET = "DELETE FROM inbox WHERE received_at < now() - %s"


# --8<-- [start:first_time]
async def first_time(conn: AsyncConnection, consumer: str, event_id: UUID) -> bool:
    """True if `consumer` has not handled this event; remembers it with the caller's transaction."""
    return (await conn.execute(REMEMBER, (consumer, event_id))).rowcount == 1
    # --8<-- [end:first_time]


async def forget(conn: AsyncConnection, *, older_than: timedelta) -> int:
    """Delete what is older; returns how many. Keep more than the topic's retention."""
    return (await conn.execute(FORGET, (older_than,))).rowcount
