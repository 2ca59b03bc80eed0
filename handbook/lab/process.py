"""One process that runs a function and reports the points it passes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

# By path, and without its folder on sys.path: importing the package would double the start-up time.
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
        self.news = threading.Condition()
        self._on_point = on_point
        self._said = b""
        self._output: IO[bytes] = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - see _read
        reading, writing = os.pipe()
        self._popen = subprocess.Popen(
            [sys.executable, "-P", str(PROCESS_SIDE), str(writing)],
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=self._output,
            pass_fds=(writing,),
            # A group of its own: Ctrl-C, or a kernel's interrupt, is not for the child. And when
            # we die while it is paused, the kernel resumes it to read the end of its stdin.
            process_group=0,
        )
        os.close(writing)
        self._send(spec)
        self._reader = threading.Thread(target=self._read, args=(reading,), daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._popen.pid

    @property
    def code(self) -> int | None:
        """None while it runs; minus the signal's number when a signal ended it."""
        return self._popen.returncode if self.ended else None

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
            self._popen.send_signal(number)

    def join(self, deadline: float | None = None) -> bool:
        """Wait for its end; False when it did not end within `deadline` seconds."""
        self._reader.join(deadline)
        return not self._reader.is_alive()

    def _send(self, spec: Mapping[str, Any]) -> None:
        """Through the pipe, not as arguments, which every user can read.

        The pipe stays open: the kernel closes it when this process dies, and the child ends.
        """
        assert self._popen.stdin is not None
        self._popen.stdin.write(encode(spec).encode() + b"\n")
        self._popen.stdin.flush()

    def _read(self, reading: int) -> None:
        with os.fdopen(reading, encoding="utf-8") as reports:
            for line in reports:
                point = line.rstrip("\n")
                self._on_point(point)
                with self.news:
                    self.points.append(point)
                    self.news.notify_all()
        self._popen.wait()
        with self.news:
            self._keep_output()
            self._output.close()
            if self._popen.stdin is not None:
                with contextlib.suppress(BrokenPipeError):
                    self._popen.stdin.close()
            self.ended = True
            self.news.notify_all()

    def _keep_output(self) -> None:
        # pread: a seek would move the position at which the child writes.
        file = self._output.fileno()
        self._said = os.pread(file, os.fstat(file).st_size, 0)


def encode(value: Any) -> str:
    """JSON, for what a child is given.

    Raises:
        TypeError: the value holds something that JSON has not.
    """
    return json.dumps(value, default=_marker)


def _marker(value: object) -> dict[str, str]:
    if isinstance(value, ssl.SSLContext):
        return {"$handbook": "ssl_context"}  # the child makes it again from the same environment
    raise TypeError(f"{type(value).__name__} {value!r} is no JSON")
