"""What a service has seen of one caller: the lines of its log with the caller's correlation id."""

from __future__ import annotations

import json
from uuid import uuid4

import httpx
from running import Service

from handbook.lab import until
from snippets.correlation import HTTP_HEADER

LIVE = "/health/live"


class Caller:
    """A client whose requests can be told from those of everybody else."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.id = uuid4().hex
        self.http = http
        http.headers[HTTP_HEADER] = self.id

    async def requests(self, service: Service) -> int:
        """How many of its requests the service has answered; a line is written after the reply."""
        known = self._seen(service).count(LIVE)
        await self.http.get(service.url + LIVE)
        await until(lambda: self._seen(service).count(LIVE) > known, what="the log to be written")
        return len([path for path in self._seen(service) if path != LIVE])

    def _seen(self, service: Service) -> list[str]:
        lines = [line for line in service.process.output.splitlines() if self.id in line]
        return [str(json.loads(line)["path"]) for line in lines]


def waiting(service: Service) -> int:
    """How many sessions of the service wait for a lock."""
    query = """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'
    """
    return int(service.database.value(query))
