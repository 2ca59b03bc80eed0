"""What every way of running the stack ends in: one `Stack` value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Kind = Literal["embedded", "compose", "external"]
Service = Literal["postgres", "kafka"]


@dataclass(frozen=True)
class Postgres:
    """How the tooling role reaches PostgreSQL. Labs make roles of their own from it."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str = "postgres"
    options: dict[str, str] = field(default_factory=dict)

    def dsn(
        self, *, database: str | None = None, user: str | None = None, password: str | None = None
    ) -> str:
        """A libpq connection string, as the tooling role unless `user` is given."""
        from psycopg.conninfo import make_conninfo  # 0.1 s, which `handbook up` need not pay

        return make_conninfo(
            host=self.host,
            port=self.port,
            dbname=database or self.database,
            user=user or self.user,
            password=password or self.password,
            **self.options,
        )


@dataclass(frozen=True)
class Kafka:
    """How a client reaches Kafka; `security`: aiokafka's keyword arguments for TLS and SASL."""

    bootstrap: str
    security: dict[str, Any] = field(default_factory=dict, repr=False)

    def client(self) -> dict[str, Any]:
        """Keyword arguments every aiokafka client takes."""
        return {"bootstrap_servers": self.bootstrap, **self.security}


class Faults(Protocol):
    """What can be done to the servers of a stack that we own."""

    def kill(self, service: Service, *, node: int = 1) -> None:
        """SIGKILL, without warning; returns when the processes are gone."""

    def pause(self, service: Service, *, node: int = 1) -> None:
        """SIGSTOP: alive but silent."""

    def resume(self, service: Service, *, node: int = 1) -> None:
        """Undo `pause`."""

    def start(self, service: Service, *, node: int = 1) -> None:
        """Start a killed or stopped server and wait until it answers."""


@dataclass(frozen=True)
class Stack:
    """A running PostgreSQL and Kafka. `faults` is None where we do not own the processes."""

    kind: Kind
    postgres: Postgres
    kafka: Kafka
    brokers: int
    faults: Faults | None = field(default=None, repr=False)
