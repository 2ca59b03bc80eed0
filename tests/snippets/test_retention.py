"""The archive of sent events: nothing lost on the way, nothing young removed, gone at once."""

from __future__ import annotations

from datetime import date, timedelta
from uuid import uuid4

import psycopg
import pytest

from handbook.lab import Database, Workspace
from snippets import outbox, retention
from snippets.naive import inbox_by_day
from snippets.relay import Relay, producer_for
from snippets.retention import KEEP_DAYS, SLOTS, rotate, slot_of

pytestmark = pytest.mark.stack
TODAY = date(2026, 11, 26)
DAY = timedelta(days=1)
SENT_ON = """
INSERT INTO outbox_archive (slot, id, event_id, topic, key, payload, created_at, sent_at)
VALUES (%s, 1, gen_random_uuid(), 't', 'k', '{}', %s, %s)
"""


@pytest.fixture
def archive(shared: Workspace) -> Database:
    """An empty outbox and its empty archive."""
    made = shared.database("archive")
    made.execute("DROP TABLE IF EXISTS outbox, outbox_archive, inbox_by_day")
    for table in (outbox.CREATE_TABLE, retention.CREATE_TABLE, inbox_by_day.CREATE_TABLE):
        made.execute(table)
    return made


def sent_on(archive: Database, day: date) -> None:
    """An event that was sent on that day."""
    archive.execute(SENT_ON, [slot_of(day), day, day])


def kept(archive: Database) -> list[date]:
    """The days of which there are events."""
    days = "SELECT DISTINCT (sent_at AT TIME ZONE 'UTC')::date FROM outbox_archive ORDER BY 1"
    return [day for (day,) in archive.fetch(days)]


async def test_event_is_archived_exactly_when_it_left_the_outbox(
    shared: Workspace, archive: Database
) -> None:
    """Relay with archive: what was sent is there, today, with all it had; the rest is not."""
    topic = shared.topic("archived")
    events = [outbox.Event(uuid4(), topic, f"k{n}", {"n": n}, "request-1") for n in range(3)]
    async with await archive.aconnect() as conn, producer_for(shared.kafka) as producer:
        relay = Relay(conn, producer, archive=True)
        for event in events[:2]:
            await outbox.write(conn, event)
        while await relay.step():
            pass
        await outbox.write(conn, events[2])

    columns = "event_id, topic, key, payload, correlation_id"
    expected = [(e.id, topic, e.key, f'{{"n": {n}}}', "request-1") for n, e in enumerate(events)]
    assert archive.fetch(f"SELECT {columns} FROM outbox_archive ORDER BY id") == expected[:2]
    assert archive.fetch(f"SELECT {columns} FROM outbox") == expected[2:]
    today = archive.value(retention.TODAY)
    assert archive.fetch("SELECT DISTINCT slot FROM outbox_archive") == [(slot_of(today),)]


async def test_week_is_kept_whole_when_rotated_every_day(archive: Database) -> None:
    """Sixty days, rotated once a day: today and at least seven days before it are always there."""
    async with await archive.aconnect() as conn:
        for number in range(60):
            today = TODAY + number * DAY
            sent_on(archive, today)
            await rotate(conn, today=today)
            days = kept(archive)
            assert days == [today - n * DAY for n in reversed(range(min(number, KEEP_DAYS) + 1))]


async def test_nothing_young_is_removed_when_rotation_comes_late_or_twice(
    archive: Database,
) -> None:
    """Whatever the day, however often: a missed day is kept for longer, never for less."""
    for number in range(KEEP_DAYS + 1):
        sent_on(archive, TODAY - number * DAY)
    missed = TODAY - (SLOTS + 1) * DAY
    sent_on(archive, missed)

    async with await archive.aconnect() as conn:
        for _ in range(2):
            await rotate(conn, today=TODAY)

    assert kept(archive) == [missed, *(TODAY - n * DAY for n in reversed(range(KEEP_DAYS + 1)))]


async def test_space_is_free_at_once_when_an_old_snapshot_is_held(archive: Database) -> None:
    """DELETE and VACUUM can give nothing back as long as somebody may see the rows."""
    emptied = f"outbox_archive_{slot_of(TODAY + 2 * DAY)}"
    for name in (emptied, f"outbox_archive_{slot_of(TODAY)}"):
        archive.execute(
            "INSERT INTO outbox_archive (slot, id, event_id, topic, key, payload, created_at)"
            " SELECT %s, n, gen_random_uuid(), 't', 'k', '{}', now() FROM generate_series(1, 99) n",
            [int(name.rpartition("_")[2])],
        )
    async with await archive.aconnect(autocommit=False) as reader, await archive.aconnect() as conn:
        await reader.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
        await reader.execute("SELECT txid_current()")
        await conn.execute(f"DELETE FROM outbox_archive_{slot_of(TODAY)}")
        await conn.execute(f"VACUUM outbox_archive_{slot_of(TODAY)}")
        assert await rotate(conn, today=TODAY) == emptied

    size = "SELECT pg_relation_size(%s::regclass)"
    assert archive.value(size, [emptied]) == 0
    assert archive.value(size, [f"outbox_archive_{slot_of(TODAY)}"]) > 0


async def test_rotation_gives_way_when_somebody_reads_the_partition(archive: Database) -> None:
    """It waits a second at most, so that nobody has to wait behind it for long."""
    async with await archive.aconnect() as conn, await archive.aconnect(autocommit=False) as reader:
        await reader.execute("SELECT count(*) FROM outbox_archive")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            await rotate(conn, today=TODAY)
        await reader.rollback()
        assert await rotate(conn) == await rotate(conn, today=archive.value(retention.TODAY))


async def test_repeat_is_new_when_the_inbox_is_partitioned_by_day(archive: Database) -> None:
    """One event, delivered before and after midnight, is handled twice."""
    event = uuid4()
    async with await archive.aconnect() as conn:
        first = [
            await inbox_by_day.first_time(conn, "member", event, day)
            for day in (TODAY, TODAY, TODAY + DAY)
        ]
    assert first == [True, False, True]
