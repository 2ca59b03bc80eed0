"""Breaks the order within a key: relays share the outbox by SKIP LOCKED, a batch each.

Nothing is lost and nothing doubled. But whoever skips the rows of a slow relay sends what was
written after them, and overtakes it.
The right way: one leader (`snippets.relay`), or one a shard (`snippets.shards`).

Proved by:
    E23 tests/snippets/test_shards.py::test_order_of_a_key_breaks_when_relays_skip_locked_rows
"""

from __future__ import annotations

from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from psycopg import AsyncConnection

from snippets.checkpoint import Checkpoint, nothing
from snippets.relay import DELETE, Pace, Row, publish

# --8<-- [start:claim]
# Locks the rows until the transaction ends; another relay's rows are not waited for.
CLAIM = """
SELECT id, event_id, topic, key, payload, correlation_id FROM outbox
ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
"""
# --8<-- [end:claim]


class SkipLockedRelay:
    """Moves rows that nobody else is moving. Same interface as `snippets.relay.Relay`."""

    def __init__(
        self,
        conn: AsyncConnection,
        producer: AIOKafkaProducer,
        *,
        pace: Pace | None = None,
        at: Checkpoint = nothing,
    ) -> None:
        self._conn = conn
        self._producer = producer
        self._pace = pace or Pace()
        self._at = at

    # --8<-- [start:step]
    async def step(self) -> bool:
        """Claim, send and delete one batch, in one transaction."""
        async with self._conn.transaction():
            return await self.send(await self.claim())

    async def claim(self) -> list[Row]:
        """Rows that are now this relay's, until its transaction ends."""
        cursor = await self._conn.execute(CLAIM, (self._pace.batch,))
        return [Row(*values) for values in await cursor.fetchall()]

    async def send(self, rows: Sequence[Row]) -> bool:
        """Send and delete what was claimed."""
        await publish(self._producer, rows, give_up=self._pace.give_up)
        self._at("relay.after_send")
        await self._conn.execute(DELETE, ([row.id for row in rows],))
        return bool(rows)
        # --8<-- [end:step]
