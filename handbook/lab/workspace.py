"""Everything one lab or test has for itself: a database, roles, topics and child processes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from handbook.errors import UsageError
from handbook.lab import database, runs
from handbook.lab.child import Child, Legend
from handbook.lab.kafka import Record, Topics
from handbook.lab.trace import Trace
from handbook.stack import Stack

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,38}")
Params = Sequence[Any] | Mapping[str, Any] | None


class Workspace:
    """A clean database, its app role and a topic prefix, removed by `close`.

    A workspace whose process dies is removed by the next `sweep` of the same checkout.
    """

    def __init__(self, stack: Stack, name: str) -> None:
        if not NAME.fullmatch(name):
            raise UsageError(
                f"`{name}` cannot name a lab", "use lower-case letters, digits and hyphens"
            )
        self.name = name
        self.stack = stack
        self._run = runs.begin(stack)
        self._database = database.Database(
            stack.postgres, f"lab_{self._run.id}_{name.replace('-', '_')}"
        )
        self._topics = Topics(stack, f"lab.{self._run.id}.{name}.")
        self._aliases: dict[str, str] = {}
        self._children: list[Child] = []
        self._session: psycopg.Connection | None = None
        self._closed = False
        try:
            self._database.create()
        except BaseException:
            self._run.release()
            raise

    @classmethod
    def create(cls, stack: Stack, name: str) -> Workspace:
        """A new workspace on a running stack."""
        return cls(stack, name)

    # PostgreSQL

    @property
    def dsn(self) -> str:
        """How the app role reaches its database."""
        return self._database.dsn

    def role(self, name: str) -> str:
        """The DSN of another login role, which may connect here and owns nothing."""
        return self._database.role(name)

    def connect(self, **options: Any) -> psycopg.Connection:
        """A session of the app role; in autocommit mode unless told otherwise."""
        return psycopg.connect(self.dsn, **{"autocommit": True, **options})

    async def aconnect(self, **options: Any) -> psycopg.AsyncConnection:
        """`connect` for code in an event loop."""
        return await psycopg.AsyncConnection.connect(self.dsn, **{"autocommit": True, **options})

    def execute(self, query: str, params: Params = None) -> None:
        """Run a statement in a session that the workspace keeps for its own questions."""
        self._ask(query, params)

    def fetch(self, query: str, params: Params = None) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return self._ask(query, params).fetchall()

    def value(self, query: str, params: Params = None) -> Any:
        """The first column of the first row; None when there is no row."""
        row = self._ask(query, params).fetchone()
        return None if row is None else row[0]

    def _ask(self, query: str, params: Params) -> psycopg.Cursor[Any]:
        try:
            if self._session is None or self._session.closed:
                self._session = self.connect()
            return self._session.execute(query.encode(), params)
        except psycopg.OperationalError as error:
            if self._session is None or self._session.closed:
                raise database.unreachable(self.stack.postgres, error) from error
            raise

    # Kafka

    @property
    def kafka(self) -> dict[str, Any]:
        """Keyword arguments for any aiokafka client."""
        return self.stack.kafka.client()

    def topic(self, alias: str, partitions: int = 3) -> str:
        """The physical name of a topic, made on first use; all partitions have a leader then."""
        if alias not in self._aliases:
            name = f"{self._topics.prefix}{alias}"
            self._topics.create(name, partitions)
            self._aliases[alias] = name
        return self._aliases[alias]

    def records(self, alias: str) -> list[Record]:
        """What a consumer of committed messages finds now, by partition and offset."""
        if alias not in self._aliases:
            known = ", ".join(sorted(self._aliases)) or "none"
            raise UsageError(
                f"lab {self.name} has no topic `{alias}`", f"make it with topic(); known: {known}"
            )
        return self._topics.records(self._aliases[alias])

    # processes

    def start(
        self,
        target: str,
        *,
        kwargs: Mapping[str, Any] | None = None,
        stop_at: str | None = None,
        stop_after: int = 1,
        trace: Trace | None = None,
        lane: str | None = None,
        legend: Legend | None = None,
    ) -> Child:
        """Run `module:function` in a process of its own. See `Child`."""
        child = Child(
            target,
            kwargs or {},
            stop_at=stop_at,
            stop_after=stop_after,
            trace=trace,
            lane=lane,
            legend=legend or {},
        )
        self._children.append(child)
        return child

    def close(self) -> None:
        """Kill the children and remove database, roles and topics. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        for child in self._children:
            child.kill()
        if self._session is not None:
            self._session.close()
        try:
            self._database.drop()
            self._topics.delete_all()
        except BaseException:
            self._run.release()
            raise
        finally:
            self._topics.close()
        self._run.end()


def sweep(stack: Stack) -> list[str]:
    """Remove what dead runs of this checkout left on this stack; the ids of those runs."""
    swept = []
    for run in runs.dead(stack):
        database.sweep(stack, run.id)
        topics = Topics(stack, f"lab.{run.id}.")
        try:
            topics.delete_all()
        finally:
            topics.close()
        run.end()
        swept.append(run.id)
    return swept
