"""Versions, roles and server settings: one home for the embedded stack, Compose and the checks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

KAFKA_LOCK = Path(__file__).with_name("kafka.lock")


@dataclass(frozen=True)
class Jar:
    """One line of `kafka.lock`: `group:artifact:version sha256 bytes`."""

    group: str
    artifact: str
    version: str
    sha256: str
    size: int

    @property
    def name(self) -> str:
        """File name in the cache."""
        return f"{self.artifact}-{self.version}.jar"


def locked_jars() -> list[Jar]:
    """Kafka's classpath, in the order of the lock."""
    jars = []
    for line in KAFKA_LOCK.read_text().splitlines():
        coordinate, sha256, size = line.split()
        group, artifact, version = coordinate.split(":")
        jars.append(Jar(group, artifact, version, sha256, int(size)))
    return jars


POSTGRES_MAJOR = 18
KAFKA_VERSION = next(jar.version for jar in locked_jars() if jar.artifact == "kafka_2.13")

SUPERUSER = "postgres"
TOOLING = "handbook"
TOOLING_ATTRIBUTES = "LOGIN CREATEDB CREATEROLE"
TOOLING_MEMBER_OF = ("pg_monitor",)
# Nobody connects to these but the tooling role and the superuser.
CLOSED_DATABASES = ("postgres", "template1")

# Beyond where it listens: the same in the embedded stack and in Compose.
POSTGRES = {
    "max_connections": "200",
    "max_prepared_transactions": "20",  # two-phase commit is one of the subjects
    "wal_level": "logical",  # log tailing is another
    "timezone": "UTC",  # a lab prints the same on every machine
    "log_timezone": "UTC",
}

KAFKA = {
    "auto.create.topics.enable": "false",  # a mistyped topic name is an error, not a topic
    "num.partitions": "3",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    "share.coordinator.state.topic.num.partitions": "1",
    # A killed broker registers again only after its old session ended: 2.5 s instead of 11.
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "400",
    # Groups form and notice a dead member without the waiting that suits large clusters.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "group.consumer.min.heartbeat.interval.ms": "100",
    "group.consumer.heartbeat.interval.ms": "300",
    "group.consumer.min.session.timeout.ms": "1000",
    "group.consumer.session.timeout.ms": "3000",
    # A small machine; the default cleaner buffer alone is 128 MB of heap.
    "log.segment.bytes": "16777216",
    "log.index.size.max.bytes": "1048576",
    "log.cleaner.dedupe.buffer.size": "4194304",
    "num.network.threads": "2",
    "num.io.threads": "4",
}
KAFKA_HEAP = "256m"


def kafka_replication(brokers: int) -> dict[str, str]:
    """Replication settings: everything on three brokers, two of which must have a write."""
    copies, in_sync = ("3", "2") if brokers > 1 else ("1", "1")
    return {
        "default.replication.factor": copies,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": in_sync,
    }
