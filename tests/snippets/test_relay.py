"""The relay: nothing lost, order within a key, one leader, clean stop; and its naive twin."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Protocol
from uuid import uuid4

import psycopg
import pytest
from aiokafka.errors import KafkaError

from handbook.lab import Workspace, until, wait_until
from snippets import outbox
from snippets.correlation import KAFKA_HEADER, take_over
from snippets.naive.watermark_relay import WatermarkRelay
from snippets.relay import Pace, Relay, main, producer_for
from snippets.shards import Shard, try_lead

pytestmark = pytest.mark.stack

LISTENERS = """
SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query = 'LISTEN outbox'
"""
LEADERS = """
SELECT pid FROM pg_locks JOIN pg_database d ON d.oid = database
WHERE locktype = 'advisory' AND granted AND datname = current_database()
"""


class Steps(Protocol):
    """What both relays are."""

    async def step(self) -> bool:
        """One round."""


@pytest.fixture
def box(workspace: Workspace) -> Workspace:
    """An empty outbox and a topic."""
    workspace.execute(outbox.CREATE_TABLE)
    workspace.topic("events")
    return workspace


def fill(box: Workspace, keys: Sequence[str], *, payload: str = "{}") -> None:
    """One event a key, in this order."""
    box.execute(
        "INSERT INTO outbox (event_id, topic, key, payload)"
        " SELECT gen_random_uuid(), %s, key, %s"
        " FROM unnest(%s::text[]) WITH ORDINALITY AS k(key, n) ORDER BY n",
        [box.topic("events"), payload, list(keys)],
    )


def sent(box: Workspace) -> list[str | None]:
    """The keys that Kafka has, by partition and offset."""
    return [record.key for record in box.records("events")]


async def overlap(box: Workspace, relay: Steps) -> None:
    """Two transactions: the one with the smaller id commits last; the relay looks in between."""
    topic = box.topic("events")
    async with await box.aconnect() as slow, await box.aconnect() as fast:
        async with slow.transaction():
            await outbox.write(slow, outbox.Event(uuid4(), topic, "slow", {}))
            await outbox.write(fast, outbox.Event(uuid4(), topic, "fast", {}))
            await relay.step()
        await drain(relay)


async def drain(relay: Steps) -> None:
    """Step until nothing is left that the relay knows of."""
    while await relay.step():
        pass


async def test_watermark_relay_loses_rows_that_commit_late(box: Workspace) -> None:
    """The naive relay never sends a row whose id is below its mark."""
    async with producer_for(box.kafka) as producer, await box.aconnect() as conn:
        await overlap(box, WatermarkRelay(conn, producer))

    assert sent(box) == ["fast"]


async def test_relay_sends_every_row_when_ids_commit_out_of_order(box: Workspace) -> None:
    """The relay finds a row for as long as it exists."""
    async with producer_for(box.kafka) as producer, await box.aconnect() as conn:
        await overlap(box, Relay(conn, producer))

    assert sorted(map(str, sent(box))) == ["fast", "slow"]
    assert box.fetch("TABLE outbox") == []


@pytest.mark.parametrize("batch", [1, 3, 1000])
async def test_events_of_one_key_arrive_in_commit_order(box: Workspace, batch: int) -> None:
    """Writers race for three keys; within a key Kafka has the order of the commits."""
    rng = random.Random(20)
    box.execute("CREATE TABLE account (key text PRIMARY KEY, version int NOT NULL DEFAULT 0)")
    box.execute("INSERT INTO account SELECT 'k' || n FROM generate_series(1, 3) n")
    topic = box.topic("events")

    async def writer(seed: int) -> None:
        mine = random.Random(seed)
        async with await box.aconnect() as conn:
            for _ in range(25):
                key = f"k{mine.randint(1, 3)}"
                async with conn.transaction():
                    cursor = await conn.execute(
                        "UPDATE account SET version = version + 1 WHERE key = %s RETURNING version",
                        (key,),
                    )
                    row = await cursor.fetchone()
                    assert row is not None
                    await asyncio.sleep(mine.random() * 0.002)
                    await outbox.write(conn, outbox.Event(uuid4(), topic, key, {"version": row[0]}))

    stop = asyncio.Event()
    running = asyncio.create_task(main(box.dsn, box.kafka, stop=stop, batch=batch, poll=0.01))
    await asyncio.gather(*(writer(rng.randrange(10_000)) for _ in range(4)))
    await until(lambda: not box.fetch("TABLE outbox"), what="an empty outbox")
    stop.set()
    await running

    versions: dict[str | None, list[bytes]] = {}
    for record in box.records("events"):
        versions.setdefault(record.key, []).append(record.value)
    in_order = {
        key: [b'{"version": %d}' % n for n in range(1, len(values) + 1)]
        for key, values in versions.items()
    }
    assert versions == in_order
    assert sum(map(len, versions.values())) == 100


def test_relay_repeats_one_batch_when_killed_after_send(box: Workspace) -> None:
    """SIGKILL between Kafka's acknowledgement and the delete repeats that batch, loses nothing."""
    keys = [f"k{n}" for n in range(10)]
    fill(box, keys)
    kwargs = {"dsn": box.dsn, "kafka": box.kafka, "batch": 4}
    victim = box.start("snippets.relay:main", kwargs=kwargs, stop_at="relay.after_send")
    victim.wait_for("relay.after_send")
    victim.kill()

    relay = box.start("snippets.relay:main", kwargs=kwargs)
    wait_until(lambda: not box.fetch("TABLE outbox"), what="an empty outbox")
    relay.stop()

    assert sorted(map(str, sent(box))) == sorted([*keys, *keys[:4]])


def test_second_relay_waits_until_the_leader_is_gone(box: Workspace) -> None:
    """Two relays: one leads; when it is killed the other leads and sends the rest."""
    kwargs = {"dsn": box.dsn, "kafka": box.kafka, "poll": 0.05}
    leader = box.start("snippets.relay:main", kwargs=kwargs)
    leader.wait_for("relay.leads")
    standby = box.start("snippets.relay:main", kwargs=kwargs)
    fill(box, ["before"])
    wait_until(lambda: not box.fetch("TABLE outbox"), what="an empty outbox")
    assert standby.reached == []

    leader.kill()
    fill(box, ["after"])
    standby.wait_for("relay.leads")
    wait_until(lambda: not box.fetch("TABLE outbox"), what="an empty outbox again")
    standby.stop()

    assert sorted(map(str, sent(box))) == ["after", "before"]


async def test_order_of_a_key_is_kept_when_only_the_leader_works(box: Workspace) -> None:
    """The slow leader holds the oldest event; nobody else may send a later one meanwhile."""
    fill(box, ["k"] * 3)
    written = [str(event) for (event,) in box.fetch("SELECT event_id FROM outbox ORDER BY id")]
    async with (
        producer_for(box.kafka) as producer,
        await box.aconnect() as conn,
        await box.aconnect() as other,
    ):
        leader = Relay(conn, producer, pace=Pace(batch=1))
        assert await leader.lead(asyncio.Event())
        await leader.step()  # reads the first event, sends nothing yet
        assert not await try_lead(other, Shard())
        await drain(leader)

    assert [record.headers["event-id"] for record in box.records("events")] == written


async def test_correlation_id_arrives_as_a_header_when_the_event_has_one(box: Workspace) -> None:
    """Of the request that this task works for, or as told; without one there is no header."""
    topic = box.topic("events", partitions=1)
    async with await box.aconnect() as conn, producer_for(box.kafka) as producer:
        await outbox.write(conn, outbox.Event(uuid4(), topic, "none", {}))
        await outbox.write(conn, outbox.Event(uuid4(), topic, "told", {}, "request-1"))
        take_over("request-2")
        await outbox.write(conn, outbox.Event(uuid4(), topic, "current", {}))
        await drain(Relay(conn, producer))

    found = {record.key: record.headers.get(KAFKA_HEADER) for record in box.records("events")}
    assert found == {"none": None, "told": "request-1", "current": "request-2"}


def test_relay_deletes_what_it_sent_when_it_is_stopped(box: Workspace) -> None:
    """SIGTERM amid a backlog: every row is either sent and gone, or unsent and there."""
    fill(box, [f"k{n}" for n in range(5000)])
    relay = box.start(
        "snippets.relay:main", kwargs={"dsn": box.dsn, "kafka": box.kafka, "batch": 50}
    )
    relay.wait_for("relay.after_send", count=3)
    relay.stop()

    assert relay.returncode == 0
    kept = {row[0] for row in box.fetch("SELECT key FROM outbox")}
    gone = [str(key) for key in sent(box)]
    assert len(gone) == len(set(gone))
    assert kept.isdisjoint(gone)
    assert len(kept) + len(gone) == 5000


async def test_relay_wakes_at_once_when_the_doorbell_rings(box: Workspace) -> None:
    """With a poll interval of a minute the event still arrives within seconds."""
    stop = asyncio.Event()
    running = asyncio.create_task(main(box.dsn, box.kafka, stop=stop, poll=60))
    await until(lambda: box.fetch(LISTENERS), what="the listening session")
    async with outbox.doorbell(box.dsn) as bell, await box.aconnect() as conn:
        began = time.monotonic()
        await outbox.write(conn, outbox.Event(uuid4(), box.topic("events"), "k", {}))
        bell.ring()
        await until(lambda: not box.fetch("TABLE outbox"), what="an empty outbox")
    stop.set()
    await running

    assert sent(box) == ["k"]
    assert time.monotonic() - began < 30


async def test_relay_polls_when_its_listening_session_is_gone(box: Workspace) -> None:
    """A lost doorbell costs latency, no event."""
    stop = asyncio.Event()
    running = asyncio.create_task(main(box.dsn, box.kafka, stop=stop, poll=0.05))
    await until(lambda: box.fetch(LISTENERS), what="the listening session")
    box.execute(f"SELECT pg_terminate_backend(pid) FROM ({LISTENERS})")
    fill(box, ["k"])
    await until(lambda: not box.fetch("TABLE outbox"), what="an empty outbox")
    stop.set()
    await running

    assert sent(box) == ["k"]


async def test_relay_sends_rows_that_do_not_fit_into_one_request(box: Workspace) -> None:
    """Batches over a request's size are cut, none of their rows is dropped, order is kept."""
    payload = '"' + "x" * 300_000 + '"'
    fill(box, ["k"] * 12, payload=payload)
    async with producer_for(box.kafka) as producer, await box.aconnect() as conn:
        await drain(Relay(conn, producer))

    assert [len(record.value) for record in box.records("events")] == [len(payload)] * 12
    assert box.fetch("TABLE outbox") == []


async def test_rows_stay_when_their_topic_does_not_exist(box: Workspace) -> None:
    """The relay fails loudly and keeps the row."""
    box.execute(
        "INSERT INTO outbox (event_id, topic, key, payload)"
        " VALUES (gen_random_uuid(), 'no-such-topic', 'k', '{}')"
    )
    async with producer_for(box.kafka) as producer, await box.aconnect() as conn:
        relay = Relay(conn, producer, pace=Pace(give_up=2))
        await relay.step()
        with pytest.raises(ExceptionGroup) as failed:
            await relay.step()

    assert failed.group_contains((TimeoutError, KafkaError))
    assert box.value("SELECT count(*) FROM outbox") == 1


async def test_relay_ends_when_its_leader_session_breaks(box: Workspace) -> None:
    """Without its session the lock is gone: the relay must not go on."""
    running = asyncio.create_task(main(box.dsn, box.kafka, poll=0.05))
    await until(lambda: box.fetch(LEADERS), what="a leader")
    box.execute(f"SELECT pg_terminate_backend(pid) FROM ({LEADERS})")

    with pytest.raises((psycopg.OperationalError, ExceptionGroup)):
        await asyncio.wait_for(running, 10)
