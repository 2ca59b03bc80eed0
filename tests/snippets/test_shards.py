"""Several relays on one outbox: by SKIP LOCKED they overtake each other, one leader a shard not."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from handbook.lab import Database, Workspace, until
from handbook.lab.kafka import Record
from snippets import outbox, shards
from snippets.naive.skip_locked_relay import SkipLockedRelay
from snippets.relay import Pace, Relay, main, producer_for
from snippets.shards import Shard, try_lead

pytestmark = pytest.mark.stack
ONE_BY_ONE = Pace(batch=1)


@dataclass(frozen=True)
class Box:
    """An empty outbox, and a topic of this test's own."""

    database: Database
    topic: str
    kafka: dict[str, Any]
    records: Callable[[], list[Record]]


@pytest.fixture
def box(shared: Workspace) -> Box:
    """In a database that other tests use before and after."""
    database, alias = shared.database("outbox"), f"shards-{uuid4()}"
    database.execute(outbox.CREATE_TABLE)
    database.execute("TRUNCATE outbox")
    return Box(database, shared.topic(alias), shared.kafka, lambda: shared.records(alias))


async def fill(box: Box, keys: Sequence[str], rounds: int) -> None:
    """In every round one event a key, numbered."""
    async with await box.database.aconnect() as conn:
        for number in range(rounds):
            for key in keys:
                event = outbox.Event(uuid4(), box.topic, key, {"number": number})
                await outbox.write(conn, event)


def arrived(box: Box) -> dict[str | None, list[int]]:
    """The numbers of each key, as Kafka has them."""
    numbers: dict[str | None, list[int]] = {}
    for record in box.records():
        numbers.setdefault(record.key, []).append(int(record.value[11:-1]))
    return numbers


def inversions(numbers: Sequence[int]) -> int:
    """How many events come right after a later one."""
    return sum(one > other for one, other in itertools.pairwise(numbers))


async def drain(relay: Relay | SkipLockedRelay) -> None:
    """Step until nothing is left that the relay may take."""
    while await relay.step():
        pass


async def test_order_of_a_key_breaks_when_relays_skip_locked_rows(box: Box) -> None:
    """The slow relay holds the oldest event of the key, the other one sends all the later ones."""
    await fill(box, ["k"], 5)
    async with (
        producer_for(box.kafka) as producer,
        await box.database.aconnect() as one,
        await box.database.aconnect() as other,
    ):
        slow = SkipLockedRelay(one, producer, pace=ONE_BY_ONE)
        async with one.transaction():
            claimed = await slow.claim()
            await drain(SkipLockedRelay(other, producer, pace=ONE_BY_ONE))
            await slow.send(claimed)

    assert arrived(box) == {"k": [1, 2, 3, 4, 0]}
    assert inversions(arrived(box)["k"]) == 1
    assert box.database.fetch("TABLE outbox") == []


@asynccontextmanager
async def sharded(box: Box, keys: Sequence[str]) -> AsyncIterator[list[Relay]]:
    """Two relays, each of which leads its shard and has at least one of the keys."""
    async with AsyncExitStack() as opened:
        producer = await opened.enter_async_context(producer_for(box.kafka))
        relays = []
        for number in range(2):
            count = "SELECT count(*) FROM unnest(%s::text[]) k WHERE abs(hashtext(k) %% 2) = %s"
            assert box.database.value(count, [list(keys), number]) > 0
            conn = await opened.enter_async_context(await box.database.aconnect())
            assert await try_lead(conn, Shard(number, 2))
            relays.append(Relay(conn, producer, pace=ONE_BY_ONE, shard=Shard(number, 2)))
        yield relays


async def test_order_within_keys_is_kept_when_two_shards_work_at_once(box: Box) -> None:
    """The slow relay holds an event again; but what the other one may send is of other keys."""
    keys = [f"k{number}" for number in range(6)]
    await fill(box, keys, 5)
    async with sharded(box, keys) as (slow, fast):
        await slow.step()  # reads its first event, sends nothing yet
        await drain(fast)
        left = box.database.value("SELECT count(*) FROM outbox")
        await drain(slow)

    assert 0 < left < 30
    assert arrived(box) == {key: [0, 1, 2, 3, 4] for key in keys}
    assert box.database.fetch("TABLE outbox") == []


async def test_every_key_is_sent_once_when_shards_run_as_processes_do(box: Box) -> None:
    """Two shards, two relays each: every event arrives once, in order, and nobody is left out."""
    keys = [f"k{number}" for number in range(8)]
    stop = asyncio.Event()
    settings = {"stop": stop, "batch": 2, "poll": 0.01, "shard_count": 2}
    running = [
        asyncio.create_task(main(box.database.dsn, box.kafka, shard=number % 2, **settings))  # type: ignore[arg-type]
        for number in range(4)
    ]
    await fill(box, keys, 4)
    await until(lambda: not box.database.fetch("TABLE outbox"), what="an empty outbox")
    stop.set()
    await asyncio.gather(*running)

    assert arrived(box) == {key: [0, 1, 2, 3] for key in keys}


async def test_one_relay_leads_when_two_want_the_same_shard(box: Box) -> None:
    """The second has to wait until the first one's session ends; another shard is free."""
    async with await box.database.aconnect() as second, await box.database.aconnect() as third:
        async with await box.database.aconnect() as first:
            assert await try_lead(first, Shard(0, 2))
            assert not await try_lead(second, Shard(0, 2))
            assert await try_lead(third, Shard(1, 2))
        await until(lambda: try_lead(second, Shard(0, 2)), what="the lead")


async def test_relay_waits_when_others_count_the_shards_differently(box: Box) -> None:
    """Of two counts one leads; whoever waits holds nothing that could keep the others waiting."""
    async with await box.database.aconnect() as new, await box.database.aconnect() as old:
        async with await box.database.aconnect() as last_old:
            assert await try_lead(last_old, Shard(1, 2))
            assert not await try_lead(new, Shard(2, 3))
            assert not await try_lead(new, Shard())
            assert await try_lead(old, Shard(0, 2))
            await old.close()
        await until(lambda: try_lead(new, Shard(2, 3)), what="the lead")


async def test_another_database_does_not_count_when_its_shards_differ(
    shared: Workspace, box: Box
) -> None:
    """Every service has its own outbox, with as many shards as it wants."""
    elsewhere = shared.database("archive")
    async with await box.database.aconnect() as one, await elsewhere.aconnect() as other:
        assert await try_lead(one, Shard(0, 2))
        assert await try_lead(other, Shard(0, 3))


def test_shard_follows_the_index_when_the_backlog_is_long(box: Box) -> None:
    """No round sorts the backlog, before and after the first ANALYZE."""
    box.database.execute(
        "INSERT INTO outbox (event_id, topic, key, payload)"
        " SELECT gen_random_uuid(), 't', 'k' || n %% 100, '{}' FROM generate_series(1, %s) n",
        [20_000],
    )
    for prepare in ("SELECT 1", "ANALYZE outbox"):
        box.database.execute(prepare)
        plan = box.database.fetch("EXPLAIN (COSTS OFF) " + shards.CLAIM, ([], 4, 0, 1000))
        steps = [line.strip().removeprefix("->  ") for (line,) in plan]
        assert steps[:2] == ["Limit", "Index Scan using outbox_pkey on outbox"]


@pytest.mark.parametrize(("number", "count"), [(1, 1), (-1, 2), (0, 0)])
def test_shard_is_refused_when_it_cannot_exist(number: int, count: int) -> None:
    """Before anything is connected."""
    with pytest.raises(ValueError, match="there is no shard"):
        Shard(number, count)


@pytest.mark.parametrize("wrong", [{"batch": 0}, {"poll": 0}, {"give_up": -1}])
def test_pace_is_refused_when_it_would_never_move_a_row(wrong: dict[str, float]) -> None:
    """All three are positive."""
    with pytest.raises(ValueError, match="must be positive"):
        Pace(**wrong)  # type: ignore[arg-type]
