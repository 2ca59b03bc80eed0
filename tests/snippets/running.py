"""The services as processes of their own, each on its own database."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from handbook.lab import Child, Database, Workspace


@dataclass(frozen=True)
class Service:
    """A running service and its database."""

    url: str
    database: Database
    process: Child


def start(workspace: Workspace, name: str, **kwargs: object) -> Service:
    """The service as a process that listens."""
    database = workspace.database(name)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings = {"dsn": database.dsn, "port": port, **kwargs}
    process = workspace.start(f"snippets.services.{name}_app:main", kwargs=settings)
    process.wait_for("service.ready")
    return Service(f"http://127.0.0.1:{port}", database, process)
