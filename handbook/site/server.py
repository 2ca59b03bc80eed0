"""Serve the built site to this machine: loopback only, known hosts only, no listings."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

from handbook.errors import StackError

ADDRESS = "127.0.0.1"
FIRST_PORT = 8000
TRIES = 20
# Set here because the operating system's own table differs from machine to machine.
TYPES = {
    "": "application/octet-stream",
    ".css": "text/css; charset=utf-8",
    ".gif": "image/gif",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json; charset=utf-8",
    ".map": "application/json; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
    ".xml": "application/xml; charset=utf-8",
}


# A font's name changes with its content. Asked for again at every page, it would come too late.
FOR_EVER = "max-age=31536000, immutable"


class SiteHandler(SimpleHTTPRequestHandler):
    """GET and HEAD of files below one folder."""

    server_version = "handbook"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        """A file, to a request that names this server."""
        if self._known_host():
            super().do_GET()

    def do_HEAD(self) -> None:
        """Like GET, without the content."""
        if self._known_host():
            super().do_HEAD()

    def _known_host(self) -> bool:
        """A page elsewhere whose name resolves to 127.0.0.1 must not read this site."""
        port = cast("Server", self.server).port
        if self.headers.get("Host") in {f"{ADDRESS}:{port}", f"localhost:{port}"}:
            return True
        self.close_connection = True
        super().send_error(HTTPStatus.MISDIRECTED_REQUEST, "unknown host")
        return False

    def guess_type(self, path: Any) -> str:
        """The type by extension."""
        return TYPES.get(Path(path).suffix.lower(), TYPES[""])

    def list_directory(self, _path: Any) -> None:
        """A folder without a page is no page."""
        self.send_error(HTTPStatus.NOT_FOUND)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """The site's own page where something is missing."""
        page = Path(self.directory) / "404.html"
        if code != HTTPStatus.NOT_FOUND or not page.is_file():
            super().send_error(code, message, explain)
            return
        content = page.read_bytes()
        self.send_response(HTTPStatus.NOT_FOUND)
        self.send_header("Content-Type", TYPES[".html"])
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def send_response(self, code: int, message: str | None = None) -> None:
        """Noted for the headers."""
        self.status = code
        super().send_response(code, message)

    def end_headers(self) -> None:
        """A rebuilt page shows at once; nothing is sniffed, or framed by others."""
        kept = self.status == HTTPStatus.OK and self.path.endswith(".woff2")
        self.send_header("Cache-Control", FOR_EVER if kept else "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Frame-Options", "SAMEORIGIN")
        self.send_header("Referrer-Policy", "no-referrer")
        super().end_headers()

    def log_message(self, *_: Any) -> None:
        """The terminal is for what the reader has to know."""


class Server(ThreadingHTTPServer):
    """One thread a connection; none of them keeps the process alive."""

    daemon_threads = True

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.socket.getsockname()[1])

    @property
    def url(self) -> str:
        """Where the site is."""
        return f"http://{ADDRESS}:{self.port}/"

    def handle_error(self, *_: Any) -> None:
        """A browser that goes away in the middle is no event."""


def listen(folder: Path, port: int | None, say: Callable[[str], None]) -> Server:
    """A server for `folder`, listening but not answering yet.

    Args:
        folder: the built site; it may be replaced while it is served.
        port: the port, 0 for any, or None for 8000 or the next free one.
        say: told when another port than 8000 was taken.

    Raises:
        StackError: the port is busy, or all of them are.
    """
    handler = partial(SiteHandler, directory=str(folder))
    for candidate in [port] if port is not None else range(FIRST_PORT, FIRST_PORT + TRIES):
        try:
            server = Server((ADDRESS, candidate), handler)
        except OSError as error:
            if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                raise
            if port is not None:
                raise StackError(*_busy(port, error)) from error
            continue
        if port is None and candidate != FIRST_PORT:
            say(f"port {FIRST_PORT} is taken, using {candidate}")
        return server
    last = FIRST_PORT + TRIES - 1
    raise StackError(
        f"the ports {FIRST_PORT} to {last} are all taken", "name a free one with --port"
    )


def _busy(port: int, error: OSError) -> tuple[str, str]:
    if error.errno == errno.EACCES:
        return f"port {port} needs more rights than you have", "choose a port above 1023"
    return (
        f"port {port} is taken by another process",
        f"stop that process, or choose another port, for example --port {_free()}",
    )


def _free() -> int:
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        return int(probe.getsockname()[1])
