"""Shards: several relays at once, each with the keys of its own, and one leader a shard.

Guarantees:
    A key belongs to one shard and a shard to one relay at a time: order within a key is kept, as
    with a single relay.
    Relays that count the shards differently never lead at the same time: the new ones wait until
    the last of the old ones has ended.

Does not guarantee:
    Even load: whatever one busy key has to send is sent by one relay.
    Independence: rows of a shard that nobody leads stay in the outbox, and the others read past
    them in every round.

Assumes:
    All relays of one outbox are started with the same count. To change it, start relays with the
    new count and end those with the old one; between the two the backlog grows.
    As in `relay`: a database session lives as long as its relay.

Proved by:
    E23 tests/snippets/test_shards.py::test_order_within_keys_is_kept_when_two_shards_work_at_once
    E23 tests/snippets/test_shards.py::test_relay_waits_when_others_count_the_shards_differently

Source: PostgreSQL 18, 9.28.10 Advisory Lock Functions, 53.13 pg_locks; Kafka, documentation,
Partitions (a key's partition by its hash).
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import AsyncConnection

COUNTS, LEADERS = 0x73686172, 0x6F757462  # "shar", "outb": the two namespaces of locks

# Not the waiting form: a session that waits for a lock inside a SELECT holds back vacuum.
LEAD = "SELECT pg_try_advisory_lock(%s, %s)"
# --8<-- [start:counts_sql]
# Shared by all who count alike, and held before looking for others: of two relays that start at the
# same moment with different counts at least one sees the other.
JOIN = "SELECT pg_try_advisory_lock_shared(%s, %s)"
LEAVE = "SELECT pg_advisory_unlock_shared(%s, %s)"
OTHERS = """
SELECT EXISTS (
    SELECT FROM pg_locks JOIN pg_database d ON d.oid = database AND datname = current_database()
    WHERE locktype = 'advisory' AND classid = %s::bigint AND objid <> %s::bigint AND objsubid = 2
)
"""
# --8<-- [end:counts_sql]
# --8<-- [start:claim]
# int4eq, not `=`: PostgreSQL expects one row in 200 to pass an equality that it knows nothing of,
# and then sorts the whole backlog for each batch instead of following the index.
CLAIM = """
SELECT id, event_id, topic, key, payload, correlation_id FROM outbox
WHERE id <> ALL (%s::bigint[]) AND int4eq(abs(hashtext(key) %% %s), %s) ORDER BY id LIMIT %s
"""
# --8<-- [end:claim]


@dataclass(frozen=True)
class Shard:
    """The keys of one relay: shard `number` of `count`, counted from 0. By default all keys."""

    number: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.number < self.count:
            raise ValueError(
                f"there is no shard {self.number} of {self.count}; they are 0 to count - 1"
            )


# --8<-- [start:try_lead]
async def try_lead(conn: AsyncConnection, shard: Shard) -> bool:
    """Lead `shard` for as long as the session lives; False while that is another relay's turn."""
    await conn.execute(JOIN, (COUNTS, shard.count))
    blocked = await _true(conn, OTHERS, COUNTS, shard.count)
    if not blocked and await _true(conn, LEAD, LEADERS, shard.number):
        return True
    await conn.execute(LEAVE, (COUNTS, shard.count))
    return False
    # --8<-- [end:try_lead]


async def _true(conn: AsyncConnection, query: str, *values: int) -> bool:
    return await (await conn.execute(query, values)).fetchone() == (True,)
