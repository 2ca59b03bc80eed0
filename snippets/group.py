"""Consumer group: members share a topic's partitions, and Kafka keeps how far the group has come.

Guarantees:
    A partition has one member at a time, as far as Kafka knows; a member that dies or falls silent
    is replaced within `session_timeout_ms`.
    An offset moves when the member says so, never by itself. A new group begins at the beginning.
    What a transaction wrote that was aborted, or is still open, is not delivered.

Does not guarantee:
    That a member which lost its partitions knows it: while it is at work, two members have the same
    event in hand (see `fencing`, `inbox`).

Assumes:
    Topics exist. A member polls at least every `max_poll_interval_ms`.

Proved by:
    E29 tests/snippets/test_consumer.py::test_backlog_drains_when_a_killed_consumer_comes_back
    E32 tests/snippets/test_consumer.py::test_aborted_event_is_never_handled

Source: Apache Kafka 4, documentation, Consumer Configs; KIP-62 (heartbeats beside polls).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError

from snippets.errors import Retriable

LEAVE = 2.0  # seconds to say good-bye to the group


# --8<-- [start:membership]
@dataclass(frozen=True)
class Membership:
    """How Kafka watches a member, by Kafka's own names; milliseconds.

    Attributes:
        session_timeout_ms: A member that is silent for so long is dead to the group.
        heartbeat_interval_ms: How often it reports, and how soon it learns of a rebalance.
        max_poll_interval_ms: How long it may work before it asks for more.
        group_instance_id: Its lasting name: who comes back under it within the session gets its
            partitions back at once, without a rebalance. Until then they wait for it.
    """

    session_timeout_ms: int = 10_000
    heartbeat_interval_ms: int = 300
    max_poll_interval_ms: int = 300_000
    group_instance_id: str | None = None
    # --8<-- [end:membership]

    def __post_init__(self) -> None:
        if not 0 < self.heartbeat_interval_ms * 2 <= self.session_timeout_ms:
            raise ValueError("let two heartbeats fit into a session: one may get lost")


# --8<-- [start:member]
@asynccontextmanager
async def member(
    kafka: Mapping[str, Any],
    topics: Sequence[str],
    group: str,
    *,
    membership: Membership | None = None,
    listener: ConsumerRebalanceListener | None = None,
    **more: Any,
) -> AsyncIterator[AIOKafkaConsumer]:
    """A member of `group` for the time of the block, with partitions in hand.

    Args:
        kafka: How any client reaches Kafka.
        topics: What the group reads.
        group: Whose offsets; every group gets every event.
        membership: How it is watched.
        listener: Is told when partitions come and go.
        more: Settings of aiokafka's consumer that shall differ.

    Raises:
        ValueError: no topic, or a topic that does not exist.
    """
    if isinstance(topics, str) or not topics or not group:
        raise ValueError("name a group and a list of topics")
    watched = asdict(membership or Membership())
    settings = {
        **kafka,
        **watched,
        # aiokafka takes the session instead, and then hurries a member that only works.
        "rebalance_timeout_ms": watched["max_poll_interval_ms"],
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "isolation_level": "read_committed",
        "fetch_max_wait_ms": 100,  # a resumed partition waits for the fetch that is under way
        **more,
    }
    consumer = AIOKafkaConsumer(group_id=group, **settings)
    await consumer.start()
    try:
        # Asked first: aiokafka would wait for a topic that does not exist.
        if missing := set(topics) - await consumer.topics():
            raise ValueError(f"create the topics first: {', '.join(sorted(missing))}")
        consumer.subscribe(list(topics), listener=listener)
        yield consumer
    finally:
        # Bounded and apart: it hangs amid a rebalance, and ends cancelled when the broker is gone.
        await asyncio.wait([asyncio.create_task(consumer.stop())], timeout=LEAVE)
        # --8<-- [end:member]


# --8<-- [start:lag]
async def lag(kafka: Mapping[str, Any], topics: Sequence[str], group: str) -> int:
    """How many offsets of `topics` the group has not come past: the number to alarm on.

    Raises:
        aiokafka.errors.UnknownTopicOrPartitionError: a topic does not exist.
        Retriable: no group has ever committed on this new Kafka; ask again.
    """
    settings = {"isolation_level": "read_committed", "fetch_max_wait_ms": 10}  # it only asks
    outside = AIOKafkaConsumer(*topics, **kafka, **settings)
    admin = AIOKafkaAdminClient(**kafka)
    await outside.start()
    await admin.start()
    try:
        places = outside.assignment()  # all of them: it is in no group
        begins, ends = await outside.beginning_offsets(places), await outside.end_offsets(places)
        kept = await admin.list_consumer_group_offsets(group)
    except GroupCoordinatorNotAvailableError as error:
        raise Retriable("Kafka is still making the topic of all groups' offsets") from error
    else:
        past = {place: kept[place].offset if place in kept else begins[place] for place in places}
        return sum(ends[place] - past[place] for place in places)
    finally:
        await admin.close()
        await outside.stop()
        # --8<-- [end:lag]
