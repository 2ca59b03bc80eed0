"""Dead-letter topic: what cannot be handled is put aside, with the reason, and replayed later.

Guarantees:
    A dead letter is the event as it came (key, value, headers), and says why it was put aside, by
    which group, and where it was found.
    `replay` may be repeated: the event id is the same, and the inbox of the group knows it. Groups
    that handled the event do not get it again.

Does not guarantee:
    Order: the events behind a dead letter were handled before its replay.
    That a replayed event succeeds. What is still poison becomes a dead letter again.
    One copy: a member that is killed after `bury` and before its offset commit buries again.

Assumes:
    The offset of a poison message is committed after `bury` returned.
    Somebody looks: a dead-letter topic that nobody alarms on loses events slowly.

Proved by:
    E30 tests/snippets/test_dead_letter.py::test_partition_goes_on_when_poison_is_buried
    E30 tests/snippets/test_dead_letter.py::test_effect_happens_once_when_a_replay_is_repeated

Source: Hohpe and Woolf, Enterprise Integration Patterns (2003), Dead Letter Channel; Apache Kafka,
KIP-298 (error handling in Connect).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord

from snippets.errors import CallError
from snippets.group import member
from snippets.relay import producer_for
from snippets.retry import Policy, may_succeed

REASON = "dead-letter-reason"
TOPIC, PARTITION, OFFSET = "dead-letter-topic", "dead-letter-partition", "dead-letter-offset"
GROUP = "dead-letter-group"
ABOUT = {REASON, TOPIC, PARTITION, OFFSET, GROUP}
FOR_GROUP = "for-group"
"""On a replayed event: the group that could not handle it; the others have."""

OUT_OF_SERVICE = ("08", "53", "57P", "25006", "25P03", "25P04")
"""SQLSTATEs that speak of the server or of the session, not of the event."""

FIVE_MINUTES = Policy(attempts=1000, first=0.1, longest=10.0, deadline=300.0)
"""For what may pass. What cannot is a dead letter at once."""

Headers = list[tuple[str, bytes]]


# --8<-- [start:out_of_service]
def out_of_service(error: Exception) -> bool:
    """Whether the database is in trouble rather than the event: wait, however long it takes."""
    if not isinstance(error, psycopg.Error):
        return False
    if error.sqlstate is None:  # no answer from the server
        return isinstance(error, psycopg.OperationalError)
    return error.sqlstate.startswith(OUT_OF_SERVICE)
    # --8<-- [end:out_of_service]


def reason(error: Exception) -> str:
    """What to tell people; never a foreign error's message, which may hold the event's data."""
    if isinstance(error, CallError):
        return error.reason
    if isinstance(error, psycopg.Error):
        return f"{type(error).__name__} {error.sqlstate}"
    return type(error).__name__


@dataclass
class _Trouble:
    """Of the event that holds its partition: `tries` set the pause, `failed` count against it."""

    since: float
    tries: int = 0
    failed: int = 0


# --8<-- [start:patience]
class Patience:
    """How long the event that holds its partition is waited for, and when hope ends."""

    def __init__(
        self,
        policy: Policy,
        *,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        self._policy, self._clock = policy, clock
        self._rng = rng or random.Random()  # noqa: S311
        self._troubles: dict[TopicPartition, _Trouble] = {}
        self.longest = policy.longest

    def failed(self, place: TopicPartition, error: Exception) -> float | None:
        """Seconds until the next try; None when there is no hope: the event is poison."""
        trouble = self._troubles.setdefault(place, _Trouble(self._clock()))
        trouble.tries += 1
        if not out_of_service(error):
            trouble.failed += 1
            late = self._clock() - trouble.since > self._policy.deadline
            if late or trouble.failed >= self._policy.attempts or not may_succeed(error):
                return None
        return self._policy.pause(trouble.tries, self._rng)

    def succeeded(self, place: TopicPartition) -> None:
        """The event went through, or was put aside."""
        self._troubles.pop(place, None)

    def clear(self) -> None:
        """Other partitions come."""
        self._troubles.clear()
        # --8<-- [end:patience]


# --8<-- [start:bury]
async def bury(
    producer: AIOKafkaProducer,
    dead_letters: str,
    record: ConsumerRecord[Any, Any],
    why: str,
    *,
    group: str,
    give_up: float = 10.0,
) -> None:
    """Put `record` into `dead_letters`; returns when Kafka has it.

    Args:
        producer: Idempotent.
        dead_letters: The topic.
        record: As it came.
        why: For people; no secrets, no content.
        group: Who could not handle it.
        give_up: Seconds to wait for Kafka.

    Raises:
        TimeoutError: Kafka did not answer; the outcome is unknown. Do not commit the offset.
    """
    about = {
        REASON: why,
        TOPIC: record.topic,
        PARTITION: str(record.partition),
        OFFSET: str(record.offset),
        GROUP: group,
    }
    headers = [*_own(record), *((name, text.encode()) for name, text in about.items())]
    await _send(producer, dead_letters, record, headers, give_up)
    # --8<-- [end:bury]


# --8<-- [start:replay]
async def replay(
    kafka: Mapping[str, Any],
    dead_letters: str,
    *,
    group: str = "replay",
    again: bool = False,
    give_up: float = 10.0,
) -> int:
    """Send the dead letters of now back to where they were found; returns how many.

    What `bury` did not write is passed over, and stays.

    Args:
        kafka: How any client reaches Kafka.
        dead_letters: The topic.
        group: Remembers what was replayed.
        again: Also what was replayed before.
        give_up: Seconds to wait for Kafka, for each dead letter.

    Raises:
        ValueError: there is no such topic.
        TimeoutError: Kafka did not answer; call again.
    """
    async with producer_for(kafka) as producer, member(kafka, [dead_letters], group) as reader:
        replayed = 0
        for record in await _all(reader, again=again):
            about = dict(record.headers)
            if not {TOPIC, GROUP} <= about.keys():
                continue
            headers = [*_own(record), (FOR_GROUP, about[GROUP])]
            await _send(producer, about[TOPIC].decode(), record, headers, give_up)
            replayed += 1
        await reader.commit()
        return replayed
        # --8<-- [end:replay]


async def _all(reader: AIOKafkaConsumer, *, again: bool) -> list[ConsumerRecord[Any, Any]]:
    """What is there between the group's offsets, or the beginning, and the present end."""
    records = await reader.getmany()  # waits for the partitions
    places = reader.assignment()
    if again:
        records = {}
        await reader.seek_to_beginning()
    found = [record for batch in records.values() for record in batch]
    ends = await reader.end_offsets(places)
    while any([await reader.position(place) < ends[place] for place in places]):
        for batch in (await reader.getmany(timeout_ms=100)).values():
            found += batch
    return found


def _own(record: ConsumerRecord[Any, Any]) -> Headers:
    """Its headers, without what an earlier stay among the dead letters added."""
    return [header for header in record.headers if header[0] not in ABOUT | {FOR_GROUP}]


async def _send(
    producer: AIOKafkaProducer,
    topic: str,
    record: ConsumerRecord[Any, Any],
    headers: Headers,
    give_up: float,
) -> None:
    async with asyncio.timeout(give_up):  # the idempotent producer never gives up by itself
        await producer.send_and_wait(topic, record.value, key=record.key, headers=headers)
