"""A service of a lab: a process that listens on a port of its own, and the database it uses."""

from __future__ import annotations

from dataclasses import dataclass

from handbook.lab.child import Child
from handbook.lab.database import Database


@dataclass(frozen=True)
class Served:
    """A running service.

    Attributes:
        url: Where it listens, such as http://127.0.0.1:8001.
        database: Whose rows it keeps.
        process: Kill, pause or restart it; it keeps its port.
    """

    url: str
    database: Database
    process: Child

    @property
    def port(self) -> int:
        """Of `url`."""
        return int(self.url.rpartition(":")[2])
