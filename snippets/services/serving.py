"""The process around an application: server, log lines, shutdown."""

from __future__ import annotations

import json
import logging
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from socket import socket

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from snippets.checkpoint import Checkpoint
from snippets.correlation import correlation_id
from snippets.services.problems import Problem

URL_LIMIT = 16 * 1024
"""Bytes of request line and headers together; beyond it the connection is refused."""


class JsonLines(logging.Formatter):
    """One JSON object a line, with the correlation id."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "message": record.getMessage(),
            "correlation_id": correlation_id.get(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class Protocol(H11Protocol):
    """What is no HTTP, or too long to be read, gets a problem document, too."""

    def send_400_response(self, msg: str) -> None:
        """Answer without the application, which never saw the request."""
        if self.conn.our_state is not h11.IDLE:  # in the middle of another reply
            self.transport.close()
            return
        problem = Problem(400, f"{msg} Or it is over {URL_LIMIT} bytes before its body.").response()
        headers = [*problem.raw_headers, (b"connection", b"close")]
        for event in (
            h11.Response(status_code=400, headers=headers),
            h11.Data(data=bytes(problem.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


class Server(uvicorn.Server):
    """Leaves the signals to the process that it runs in, and says when it listens."""

    def __init__(self, config: uvicorn.Config, at: Checkpoint) -> None:
        super().__init__(config)
        self.at = at

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """None are captured."""
        yield

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        if self.started:
            self.at("service.ready")
