"""Faults done to the embedded servers are real, come in pairs, and heal."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from own_stack import assert_works, dsn_of, known, postgres_only, servers
from scratch import wait_until

from handbook.errors import StackError, UsageError
from handbook.stack import Stack, embedded, kafka

pytestmark = pytest.mark.stack


def test_killed_postgres_loses_no_acknowledged_row(formatted: Path) -> None:
    """SIGKILL cuts every session; what was acknowledged is there after the start."""
    stack = postgres_only(formatted)
    assert stack.faults is not None
    with psycopg.connect(stack.postgres.dsn(), autocommit=True) as conn:
        conn.execute("CREATE DATABASE acknowledged")
        stack.faults.kill("postgres")
        with pytest.raises(psycopg.OperationalError):
            conn.execute("SELECT 1")
    assert servers(formatted) == []
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(stack.postgres.dsn())

    stack.faults.start("postgres")

    psycopg.connect(stack.postgres.dsn(database="acknowledged")).close()


def test_paused_postgres_accepts_but_never_answers_until_resumed(formatted: Path) -> None:
    """SIGSTOP leaves sessions open and silent; SIGCONT lets them go on where they were."""
    stack = postgres_only(formatted)
    assert stack.faults is not None
    with psycopg.connect(dsn_of(formatted), autocommit=True) as conn:
        stack.faults.pause("postgres")
        conn.pgconn.send_query(b"SELECT 42")
        with socket.create_connection(("127.0.0.1", stack.postgres.port), 1) as silent:
            silent.settimeout(0.3)
            silent.sendall(b"\0\0\0\x08\x04\xd2\x16\x2f")  # SSLRequest
            with pytest.raises(TimeoutError):
                silent.recv(1)

        stack.faults.resume("postgres")

        conn.pgconn.flush()
        result = conn.pgconn.get_result()
        assert result is not None
        assert result.get_value(0, 0) == b"42"
        assert conn.pgconn.get_result() is None


async def test_killed_broker_keeps_acknowledged_records(formatted: Path) -> None:
    """A record acknowledged before SIGKILL is read after the start, which takes seconds only."""
    stack = await asyncio.to_thread(embedded.up)
    assert stack.faults is not None
    await make_topic(stack, copies=1)
    await send(stack, b"before")
    await asyncio.to_thread(stack.faults.kill, "kafka")
    assert kafka.brokers(known(formatted).nodes[0].port) == set()

    began = time.monotonic()
    await asyncio.to_thread(stack.faults.start, "kafka")
    assert time.monotonic() - began < 30

    await send(stack, b"after")
    assert await read(stack, 2) == [b"before", b"after"]


async def test_cluster_goes_on_when_one_of_three_brokers_is_killed_or_paused(home: Path) -> None:
    """Replicated records survive the death of a broker, and writing goes on without it."""
    stack = await asyncio.to_thread(embedded.up, brokers=3)
    assert stack.faults is not None
    await make_topic(stack, copies=3)
    await send(stack, b"all")
    await asyncio.to_thread(stack.faults.kill, "kafka", node=1)
    await asyncio.to_thread(noticed, home, {2, 3})
    await send(stack, b"two")
    await asyncio.to_thread(stack.faults.start, "kafka", node=1)
    await asyncio.to_thread(noticed, home, {1, 2, 3})
    stack.faults.pause("kafka", node=2)
    await asyncio.to_thread(noticed, home, {1, 3})
    assert [s.state for s in embedded.status()] == ["running", "running", "paused", "running"]
    await send(stack, b"awake")
    stack.faults.resume("kafka", node=2)

    assert await read(stack, 3) == [b"all", b"two", b"awake"]
    assert_works(await asyncio.to_thread(embedded.up))


def noticed(place: Path, alive: set[int]) -> None:
    """Wait until the brokers that live agree on who does."""
    ports = [node.port for node in known(place).nodes if node.id in alive]
    wait_until(lambda: all(kafka.brokers(p) == alive for p in ports), f"brokers {alive}")


async def make_topic(stack: Stack, *, copies: int) -> None:
    """The topic `faults` with one partition."""
    admin = AIOKafkaAdminClient(**stack.kafka.client())
    await admin.start()
    try:
        await admin.create_topics([NewTopic("faults", 1, copies)])
    finally:
        await admin.close()


async def send(stack: Stack, value: bytes) -> None:
    """Returns when every in-sync replica has the record."""
    async with asyncio.timeout(60):
        async with AIOKafkaProducer(**stack.kafka.client(), acks="all") as producer:
            await producer.send_and_wait("faults", value, partition=0)


async def read(stack: Stack, count: int) -> list[bytes]:
    """The first `count` records."""
    async with asyncio.timeout(60):
        client = {**stack.kafka.client(), "auto_offset_reset": "earliest"}
        async with AIOKafkaConsumer("faults", **client) as consumer:
            return [(await consumer.getone()).value for _ in range(count)]


def test_fault_is_refused_when_there_is_nothing_to_do_it_to(formatted: Path) -> None:
    """A fault that would not happen is an error, so that no run counts it."""
    faults = embedded.describe(known(formatted)).faults
    assert faults is not None

    for verb in (faults.kill, faults.pause, faults.resume):
        with pytest.raises(StackError, match="does not run"):
            verb("postgres")
    with pytest.raises(UsageError, match="There is no broker 2; this stack has 1"):
        faults.kill("kafka", node=2)
