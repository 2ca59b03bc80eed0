"""The live server as `handbook serve` uses it: in a thread, on a socket that listens already."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import socket
import tempfile
import threading
from pathlib import Path

import psutil

from handbook.live.app import BASE, LabPython, Live, settings
from handbook.live.handlers import News
from handbook.live.site import Place
from handbook.site.project import Project

PREFIX = "handbook-live-"
STOP_LIMIT = 20
"""Seconds that kernels have to end and to remove their labs' databases."""


class LiveServer:
    """Answers from `start` to `close`; its kernels end with it, however it ends.

    Args:
        project: the checkout whose site and labs are served.
        sock: a socket that listens on 127.0.0.1.
        watched: whether the site is built anew while it is served.
    """

    def __init__(self, project: Project, sock: socket.socket, *, watched: bool = False) -> None:
        self.token = secrets.token_urlsafe(24)
        self._sock = sock.dup()
        self._sock.setblocking(False)
        port = int(sock.getsockname()[1])
        self.place = Place(project.root, project.site, project.notebooks, port, watched)
        self._ready = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="live", daemon=True)

    @property
    def url(self) -> str:
        """The address that lets its reader run cells."""
        return f"http://{self.place.host}{BASE}open?token={self.token}"

    def start(self) -> None:
        """Begin to answer; returns at once."""
        self._thread.start()

    def wait(self) -> None:
        """Until it answers; raises what kept it from that."""
        self._ready.wait()
        if self._failed:
            raise self._failed

    def tell(self) -> None:
        """The site was built anew: open pages load themselves again."""
        self._loop.call_soon_threadsafe(self._app.news.tell)

    def close(self) -> None:
        """End all kernels, and wait for that."""
        if self._thread.is_alive():
            self._ready.wait()
            with contextlib.suppress(RuntimeError):  # it has just ended
                self._loop.call_soon_threadsafe(self._ended.set)
            self._thread.join(STOP_LIMIT)
        self._sock.close()

    def _run(self) -> None:
        folder = _folder()
        try:
            with asyncio.Runner() as runner:
                self._loop = runner.get_loop()
                runner.run(self._serve(folder))
        except BaseException as error:
            self._failed = error
        finally:
            self._ready.set()
            shutil.rmtree(folder, ignore_errors=True)

    async def _serve(self, folder: Path) -> None:
        LabPython.folder = folder
        app = self._app = Live(config=settings(self.place, self.token))
        app.runtime_dir = str(folder / "runtime")
        app.place, app.listening, app.news = self.place, self._sock, News()
        self._ended = asyncio.Event()
        app.initialize(argv=[], find_extensions=False)
        app.log.setLevel("CRITICAL")  # Jupyter notes every message of a kernel
        app.io_loop.add_callback(self._ready.set)
        await self._ended.wait()
        await app.end()


def _folder() -> Path:
    """A private folder of this process; those of killed servers are removed."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}[0-9]*-*"):
        pid = int(left.name.removeprefix(PREFIX).partition("-")[0])
        if not psutil.pid_exists(pid) and left.stat().st_uid == os.getuid():
            shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
