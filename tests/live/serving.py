"""The live server of a test."""

from __future__ import annotations

import socket

from handbook.live.server import LiveServer
from handbook.site.project import Project


def serve(project: Project, *, watched: bool = False) -> LiveServer:
    """The live server on any port, answering."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        server = LiveServer(project, sock, watched=watched)
    server.start()
    server.wait()
    return server
