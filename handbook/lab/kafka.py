"""Topics and records of one run.

aiokafka runs in a thread with an event loop of its own, so that a notebook cell, whose kernel has a
running loop already, calls plain functions.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, for_code

from handbook.errors import StackError
from handbook.lab import waiting
from handbook.stack import Stack

Result = TypeVar("Result")
LIMIT = 15.0
ALREADY_EXISTS = 36


@dataclass(frozen=True)
class Record:
    """One message as stored in Kafka; the value of a tombstone is empty."""

    key: str | None
    value: bytes
    headers: dict[str, str]
    partition: int
    offset: int
    tombstone: bool = False


class Topics:
    """The topics under one prefix; connects on first use."""

    def __init__(self, stack: Stack, prefix: str) -> None:
        self.prefix = prefix
        self._kafka = stack.kafka
        self._copies = min(stack.brokers, 3)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._admin: AIOKafkaAdminClient | None = None

    def create(self, name: str, partitions: int) -> None:
        """Make the topic; returns when every partition has a leader."""
        self._run(f"create topic {name}", self._create(name, partitions))

    def records(self, name: str) -> list[Record]:
        """All committed records from the beginning to the present end."""
        return self._run(f"read topic {name}", self._records(name))

    def delete_all(self) -> None:
        """Ask Kafka to delete the topics under the prefix; does not wait until it has."""
        self._run("delete topics", self._delete_all())

    def close(self) -> None:
        """End the thread."""
        if self._loop is None or self._thread is None:
            return
        if self._admin is not None:
            asyncio.run_coroutine_threadsafe(self._admin.close(), self._loop).result(LIMIT)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(LIMIT)
        self._loop.close()
        self._loop = self._thread = self._admin = None

    def _run(self, what: str, work: Coroutine[Any, Any, Result]) -> Result:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=self._loop.run_forever, name="lab-kafka", daemon=True
            )
            self._thread.start()
        job = asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, LIMIT), self._loop)
        try:
            return job.result()
        except (KafkaError, TimeoutError, OSError) as error:
            why = str(error) or f"no answer within {LIMIT:g} s"
            raise StackError(
                f"Kafka at {self._kafka.bootstrap} did not {what} ({why})",
                "`handbook status` shows what runs, `handbook up` starts what does not",
            ) from error

    async def _connected(self) -> AIOKafkaAdminClient:
        if self._admin is None:
            admin = AIOKafkaAdminClient(**self._kafka.client())
            try:
                await admin.start()
            except BaseException:
                await admin.close()
                raise
            self._admin = admin
        return self._admin

    async def _create(self, name: str, partitions: int) -> None:
        admin = await self._connected()
        topic = NewTopic(name, num_partitions=partitions, replication_factor=self._copies)
        answer: Any = await admin.create_topics([topic])
        for _, code, *message in answer.topic_errors:
            if code not in (0, ALREADY_EXISTS):  # aiokafka returns codes instead of raising
                raise for_code(code)(*message)

        async def led() -> bool:
            (found,) = await admin.describe_topics([name])
            ready = [p["error_code"] == 0 and p["leader"] >= 0 for p in found["partitions"]]
            return len(ready) == partitions and all(ready)

        await waiting.until(led, deadline=LIMIT - 1, what=f"a leader of every partition of {name}")

    async def _records(self, name: str) -> list[Record]:
        consumer = AIOKafkaConsumer(
            **self._kafka.client(),
            isolation_level="read_committed",
            enable_auto_commit=False,
            fetch_max_wait_ms=10,  # a waiting fetch holds up the next request on its connection
        )
        await consumer.start()
        try:
            partitions = consumer.partitions_for_topic(name)
            if not partitions:
                (found,) = await (await self._connected()).describe_topics([name])
                partitions = {p["partition"] for p in found["partitions"]}
            places = [TopicPartition(name, number) for number in sorted(partitions)]
            consumer.assign(places)
            await consumer.seek_to_beginning(*places)
            ends = await consumer.end_offsets(places)
            found_records: list[Record] = []
            while waiting_for := [p for p in places if await consumer.position(p) < ends[p]]:
                batches = await consumer.getmany(*waiting_for, timeout_ms=100)
                for place, messages in batches.items():
                    found_records += [_record(m) for m in messages if m.offset < ends[place]]
        finally:
            await consumer.stop()
        return sorted(found_records, key=lambda record: (record.partition, record.offset))

    async def _delete_all(self) -> None:
        admin = await self._connected()
        names = [name for name in await admin.list_topics() if name.startswith(self.prefix)]
        if names:
            await admin.delete_topics(names)


def _record(message: Any) -> Record:
    return Record(
        key=None if message.key is None else message.key.decode(),
        value=message.value or b"",
        headers={name: (value or b"").decode() for name, value in message.headers},
        partition=message.partition,
        offset=message.offset,
        tombstone=message.value is None,
    )
