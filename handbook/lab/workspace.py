"""Everything one lab or test has for itself: a database, roles, topics and child processes."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Mapping
from typing import Any

import psycopg

from handbook.errors import UsageError
from handbook.lab import database, runs
from handbook.lab.child import Child, Legend
from handbook.lab.database import Database, Params
from handbook.lab.kafka import Record, Topics
from handbook.lab.proxy import Proxy
from handbook.lab.served import Served
from handbook.lab.trace import Trace
from handbook.stack import Stack, state

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,38}")


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
        self._databases: dict[str, Database] = {}
        self._making = threading.Lock()
        self._topics = Topics(stack, f"lab.{self._run.id}.{name}.")
        self._aliases: dict[str, str] = {}
        self._children: list[Child] = []
        self._proxies = contextlib.ExitStack()
        self._closed = False

    @classmethod
    def create(cls, stack: Stack, name: str) -> Workspace:
        """A new workspace on a running stack."""
        return cls(stack, name)

    @property
    def run_id(self) -> str:
        """What the names of everything of this run hold."""
        return self._run.id

    # PostgreSQL: the workspace's own database, and one for each service of the lab

    def database(self, service: str = "") -> Database:
        """The database of one service, made on first use; without a name the workspace's own."""
        with self._making:
            if service not in self._databases:
                parts = [self.name, service] if service else [self.name]
                name = database.prefix(self._run.id) + "_".join(parts).replace("-", "_")
                made = Database(self.stack.postgres, name[: database.LONGEST_NAME])
                self._databases[service] = made
            return self._databases[service]

    @property
    def dsn(self) -> str:
        """How the app role reaches the workspace's own database."""
        return self.database().dsn

    def role(self, name: str) -> str:
        """The DSN of another login role, which may connect here and owns nothing."""
        return self.database().role(name)

    def connect(self, **options: Any) -> psycopg.Connection:
        """A session of the app role; in autocommit mode unless told otherwise."""
        return self.database().connect(**options)

    async def aconnect(self, **options: Any) -> psycopg.AsyncConnection:
        """`connect` for code in an event loop."""
        return await self.database().aconnect(**options)

    def execute(self, query: str, params: Params = None) -> None:
        """Run a statement in a session that the workspace keeps for its own questions."""
        self.database().execute(query, params)

    def fetch(self, query: str, params: Params = None) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return self.database().fetch(query, params)

    def value(self, query: str, params: Params = None) -> Any:
        """The first column of the first row; None when there is no row."""
        return self.database().value(query, params)

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
            kwargs,
            stop_at=stop_at,
            stop_after=stop_after,
            trace=trace,
            lane=lane,
            legend=legend,
        )
        self._children.append(child)
        return child

    def kill_at(self, point: str, target: str, **options: Any) -> Child:
        """Start `target` with the options of `start`, and SIGKILL it when it comes to `point`."""
        child = self.start(target, stop_at=point, **options)
        child.wait_for(point, options.get("stop_after", 1))
        child.kill()
        return child

    def serve(
        self,
        target: str,
        *,
        name: str,
        database: Database | None = None,
        options: Mapping[str, Any] | None = None,
        ready: str = "service.ready",
        **kwargs: Any,
    ) -> Served:
        """Start a service and return when it listens.

        Args:
            target: `module:function`, called with `dsn`, `port` and what follows.
            name: Of the service, and of its database; see `database`.
            database: Another one that it shall use; its tables are the caller's to make.
            options: Of `start`: where it stands still, what it records.
            ready: The point at which it listens.
            **kwargs: What else the target takes, as JSON can hold it.

        Raises:
            ChildFailedError: it ended before; holds its last lines.
        """
        database, port = database or self.database(name), state.free_ports(1)[0]
        settings = {"dsn": database.dsn, "port": port, **kwargs}
        process = self.start(target, kwargs=settings, **(options or {}))
        process.wait_for(ready)
        return Served(f"http://127.0.0.1:{port}", database, process)

    def proxy(self, served: Served) -> Proxy:
        """A proxy before a service, until the workspace is closed."""
        return self._proxies.enter_context(Proxy(served.port))

    def close(self) -> None:
        """Kill the children and remove database, roles and topics. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        for child in self._children:
            child.kill()
        self._proxies.close()
        for made in self._databases.values():
            made.close()
        try:
            with contextlib.ExitStack() as removing:  # each step is tried, whatever the others do
                removing.callback(self._topics.close)
                if self._aliases:
                    removing.callback(self._topics.delete_all)
                if self._databases:
                    removing.callback(database.drop_run, self.stack, self._run.id)
        except BaseException:
            self._run.release()
            raise
        self._run.end()


def sweep(stack: Stack) -> list[str]:
    """Remove what dead runs of this checkout left on this stack; the ids of those runs."""
    swept = []
    with contextlib.closing(runs.dead(stack)) as dead:
        for run in dead:
            database.drop_run(stack, run.id)
            with contextlib.closing(Topics(stack, f"lab.{run.id}.")) as topics:
                topics.delete_all()
            run.end()
            swept.append(run.id)
    return swept
