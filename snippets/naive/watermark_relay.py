"""Loses events that commit late: a relay that remembers the largest id it has seen.

An identity column hands out ids at INSERT, transactions become visible at COMMIT. A row with a
smaller id that commits after a larger one is below the mark and never read.
The right way: `snippets.relay.Relay`.

Shown by: E21 tests/snippets/test_relay.py::test_watermark_relay_loses_rows_that_commit_late
"""

from __future__ import annotations

from aiokafka import AIOKafkaProducer
from psycopg import AsyncConnection

from snippets.checkpoint import Checkpoint, nothing
from snippets.relay import Pace, Row, publish

# --8<-- [start:claim]
CLAIM = """
SELECT id, event_id, topic, key, payload FROM outbox
WHERE id > %s ORDER BY id LIMIT %s
"""
# --8<-- [end:claim]


class WatermarkRelay:
    """Moves rows above the mark. Same interface as `snippets.relay.Relay`."""

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
        self._mark = 0

    # --8<-- [start:step]
    async def step(self) -> bool:
        """Send what is above the mark, then raise the mark."""
        cursor = await self._conn.execute(CLAIM, (self._mark, self._pace.batch))
        rows = [Row(*values) for values in await cursor.fetchall()]
        await publish(self._producer, rows, give_up=self._pace.give_up)
        if rows:
            self._mark = rows[-1].id
            self._at("relay.after_send")
        return bool(rows)
        # --8<-- [end:step]
