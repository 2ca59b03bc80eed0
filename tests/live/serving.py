"""The live server of a test: in this process, or as `handbook serve` in one of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Protocol

import psutil

from handbook.live.server import LiveServer
from handbook.site.project import Project

# As `handbook serve` does it, without a stack: signals come to the thread that waits.
PROGRAM = """
import pathlib, sys
from handbook import paths
paths.ROOT = pathlib.Path(sys.argv[1])
from handbook.site import serve
from handbook.site.project import Project
serve._start_stack = lambda say: None
serve.serve(Project(paths.ROOT), port=0, with_stack=True, watch=sys.argv[2] == "watch",
            open_browser=False, say=lambda line: None, show=lambda line: print(line, flush=True))
"""


class Place(Protocol):
    """Where a server listens."""

    @property
    def host(self) -> str:
        """Name and port."""

    @property
    def port(self) -> int:
        """The port alone."""


class Address(Protocol):
    """What a reader needs to know of a live server, wherever it runs."""

    @property
    def place(self) -> Place:
        """Where it listens."""

    @property
    def token(self) -> str:
        """What lets a reader in."""

    @property
    def url(self) -> str:
        """The address that its terminal shows."""


class Served:
    """A running `handbook serve`, known by its printed address."""

    def __init__(self, project: Project, *, watch: bool) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(project.root), "watch" if watch else ""],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.url = self._printed()
        self.host, _, self.token = self.url.removeprefix("http://").partition("/_live/open?token=")
        self.port = int(self.host.partition(":")[2])

    @property
    def place(self) -> Place:
        """Itself."""
        return self

    def _printed(self) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("문서: "):
                return line.removeprefix("문서: ").strip()
        raise AssertionError(self.process.communicate()[1])

    def family(self) -> list[psutil.Process]:
        """Everything it has started."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self) -> None:
        """Kill what is left of it."""
        self.process.kill()
        self.process.communicate()


Serve = Callable[..., Served]


def serve(project: Project, *, watched: bool = False) -> LiveServer:
    """The live server on any port, answering."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        server = LiveServer(project, sock, watched=watched)
    server.start()
    server.wait()
    return server
