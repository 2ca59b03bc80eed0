"""One process that runs a function and reports the points it passes."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from handbook.errors import StackError

# By path, and without its folder on sys.path: importing the package would double its start-up time.
PROCESS_SIDE = Path(__file__).with_name("child_main.py")


class Process:
    """Started at once; `points`, `output` and `code` may be read at any time.

    Args:
        spec: What `child_main.py` runs.
        on_point: Called in the thread that reads, before anybody else sees the point.
    """

    def __init__(self, spec: Mapping[str, Any], on_point: Callable[[str], None]) -> None:
        self.points: list[str] = []
        self.ended = False
        self.code: int | None = None
        self.news = threading.Condition()
        self._on_point = on_point
        self._said = b""
        self._output: IO[bytes] = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - see _read
        stdin, self._stdin = os.pipe()
        reports, writing_reports = os.pipe()
        status, writing_status = os.pipe()
        theirs = [stdin, writing_reports, self._output.fileno(), writing_status]
        try:
            forker().fork(theirs)
        finally:
            for file in (stdin, writing_reports, writing_status):
                os.close(file)
        self._status = os.fdopen(status, encoding="utf-8")
        self.pid = int(self._status.readline() or 0)
        if not self.pid:
            raise forker().gone()
        self._send(spec)
        self._reader = threading.Thread(target=self._read, args=(reports,), daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        """What it has written to stdout and stderr."""
        with self.news:
            if not self._output.closed:
                self._keep_output()
            return self._said.decode(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        if not self.ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def join(self, deadline: float | None = None) -> bool:
        """Wait for its end; False when it did not end within `deadline` seconds."""
        self._reader.join(deadline)
        return not self._reader.is_alive()

    def _send(self, spec: Mapping[str, Any]) -> None:
        """Through the pipe, not as arguments, which every user can read.

        The pipe stays open: the kernel closes it when this process dies, and the child ends.
        """
        here = {"environ": dict(os.environ), "cwd": os.getcwd(), "path": sys.path}  # noqa: PTH109
        with contextlib.suppress(BrokenPipeError), os.fdopen(os.dup(self._stdin), "w") as stdin:
            stdin.write(encode({**here, **spec}) + "\n")

    def _read(self, reports: int) -> None:
        with os.fdopen(reports, encoding="utf-8") as lines:
            for line in lines:
                point = line.rstrip("\n")
                self._on_point(point)
                with self.news:
                    self.points.append(point)
                    self.news.notify_all()
        with self._status as status:
            code = status.readline()
        os.close(self._stdin)
        with self.news:
            self._keep_output()
            self._output.close()
            self.code = int(code or -signal.SIGKILL)
            self.ended = True
            self.news.notify_all()

    def _keep_output(self) -> None:
        # pread: a seek would move the position at which the child writes.
        file = self._output.fileno()
        self._said = os.pread(file, os.fstat(file).st_size, 0)


class Forker:
    """The warm interpreter of this process, see `child_main`; it ends when this process does."""

    def __init__(self) -> None:
        self._requests, theirs = socket.socketpair()
        self._lock = threading.Lock()
        with theirs:
            self._popen = subprocess.Popen(
                [sys.executable, "-P", str(PROCESS_SIDE), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                process_group=0,
            )

    def fork(self, files: list[int]) -> None:
        """Ask for a child with these files."""
        try:
            with self._lock:
                socket.send_fds(self._requests, [b"x"], files)
        except OSError as error:
            raise self.gone() from error

    def gone(self) -> StackError:
        """What to say when somebody has killed it."""
        return StackError("the interpreter that children are forked from is gone", "start again")

    def close(self) -> None:
        """End it."""
        self._requests.close()
        self._popen.wait()


_starting = threading.Lock()


def forker() -> Forker:
    """The one of this process, started with the first child."""
    with _starting:
        return started()


@functools.cache
def started() -> Forker:
    """See `forker`, which is for threads."""
    return Forker()


@atexit.register  # here, before any lab registers its own: the last is called first
def _close_forker() -> None:
    if started.cache_info().currsize:
        started().close()


def encode(value: Any) -> str:
    """JSON, for what a child is given.

    Raises:
        TypeError: the value holds something that JSON has not.
    """
    return json.dumps(value, default=_marker)


def _marker(value: object) -> dict[str, str]:
    if isinstance(value, ssl.SSLContext):
        return {"$handbook": "ssl_context"}
    raise TypeError(f"{type(value).__name__} {value!r} is no JSON")
