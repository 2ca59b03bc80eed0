"""Retention: events that were sent are kept for some days, then whole partitions are emptied.

Guarantees:
    With `archive` the relay moves a row from the outbox to the archive in one statement: an event
    is in exactly one of them.
    `rotate` removes nothing younger than `KEEP_DAYS`, whenever and however often it is called.
    What it removes is gone at once, disk space included, also while old snapshots are held; a
    DELETE would leave dead rows until the last of them ends.

Does not guarantee:
    That everything older is gone: a day on which nobody calls `rotate` is kept a round longer.
    A frozen view to who reads the archive: after TRUNCATE older snapshots see an empty partition.

Assumes:
    `rotate` runs once a day, as the owner of the table. Days are those of the server in UTC.
    Not for the inbox: a partitioned table can only keep unique what includes the day, and the
    repeat of an event on the next day would be new. There old rows are deleted (`inbox.forget`).

Proved by:
    R27 tests/snippets/test_retention.py::test_event_is_archived_exactly_when_it_left_the_outbox
    R27 tests/snippets/test_retention.py::test_week_is_kept_whole_when_rotated_every_day
    R27 tests/snippets/test_retention.py::test_repeat_is_new_when_the_inbox_is_partitioned_by_day

Source: PostgreSQL 18, 5.12 Table Partitioning, TRUNCATE; pgq (Skytools), rotated queue tables.
"""

from __future__ import annotations

from datetime import date

from psycopg import AsyncConnection

KEEP_DAYS = 7
# Today's slot, the kept ones, tomorrow's and the one that is emptied: the day after tomorrow's, so
# that neither midnight nor a clock that is hours off can matter.
SLOTS = KEEP_DAYS + 3

# --8<-- [start:table]
CREATE_TABLE = f"""
CREATE TABLE IF NOT EXISTS outbox_archive (
    slot           int NOT NULL   -- the day it was sent, see `slot_of`
                   DEFAULT mod((now() AT TIME ZONE 'UTC')::date - DATE '0001-01-01', {SLOTS}),
    id             bigint NOT NULL,
    event_id       uuid NOT NULL,
    topic          text NOT NULL,
    key            text NOT NULL,
    payload        text NOT NULL,
    correlation_id text,
    created_at     timestamptz NOT NULL,
    sent_at        timestamptz NOT NULL DEFAULT now()
) PARTITION BY LIST (slot);
""" + "\n".join(
    f"CREATE TABLE IF NOT EXISTS outbox_archive_{slot}"
    f" PARTITION OF outbox_archive FOR VALUES IN ({slot});"
    for slot in range(SLOTS)
)
# --8<-- [end:table]
TODAY = "SELECT (now() AT TIME ZONE 'UTC')::date"
# --8<-- [start:archive]
# Takes the row locks of the DELETE.
ARCHIVE = """
WITH sent AS (
    DELETE FROM outbox WHERE id = ANY (%s::bigint[]) RETURNING *
)
INSERT INTO outbox_archive (id, event_id, topic, key, payload, correlation_id, created_at)
SELECT id, event_id, topic, key, payload, correlation_id, created_at FROM sent
"""
# --8<-- [end:archive]
# Without it TRUNCATE would wait behind a long reader, and everybody else behind TRUNCATE.
LIMIT_WAITING = "SELECT set_config('lock_timeout', '1s', true)"


def slot_of(day: date) -> int:
    """Where what was sent on `day` is kept."""
    return (day - date.min).days % SLOTS


# --8<-- [start:rotate]
async def rotate(conn: AsyncConnection, *, today: date | None = None) -> str:
    """Empty the partition whose turn comes the day after tomorrow; returns its name.

    Args:
        conn: In autocommit mode, or a transaction that is committed soon: readers of that partition
            wait for it.
        today: In UTC; the server's by default.

    Raises:
        psycopg.errors.LockNotAvailable: somebody reads it; nothing was done, call again later.
    """
    if today is None:
        row = await (await conn.execute(TODAY)).fetchone()
        assert row is not None
        today = row[0]
    emptied = f"outbox_archive_{(slot_of(today) + 2) % SLOTS}"
    async with conn.transaction():
        await conn.execute(LIMIT_WAITING)
        await conn.execute(f"TRUNCATE {emptied}")  # ACCESS EXCLUSIVE on this partition alone
    return emptied
    # --8<-- [end:rotate]
