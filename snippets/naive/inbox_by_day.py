"""Doubles effects: an inbox in partitions by day, so that old days can be dropped at once.

The primary key of a partitioned table includes the day. It stops the repeat on the same day only:
whatever is delivered again after midnight is new.
The right way: `snippets.inbox`, and `inbox.forget` for what is old.

Proved by:
    R27 tests/snippets/test_retention.py::test_repeat_is_new_when_the_inbox_is_partitioned_by_day
"""

from __future__ import annotations

from datetime import date
from uuid import UUID

from psycopg import AsyncConnection

# --8<-- [start:table]
CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS inbox_by_day (
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    day      date NOT NULL,
    PRIMARY KEY (consumer, event_id, day)
) PARTITION BY RANGE (day);
CREATE TABLE IF NOT EXISTS inbox_by_day_rest PARTITION OF inbox_by_day DEFAULT;
"""
# --8<-- [end:table]
REMEMBER = """
INSERT INTO inbox_by_day (consumer, event_id, day) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING
"""


async def first_time(conn: AsyncConnection, consumer: str, event_id: UUID, day: date) -> bool:
    """True if `consumer` has not handled this event today."""
    return (await conn.execute(REMEMBER, (consumer, event_id, day))).rowcount == 1
