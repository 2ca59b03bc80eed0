"""A function in a real process of its own, which a lab can kill at a named point."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import psutil

from handbook.errors import CheckFailedError, UsageError
from handbook.lab.trace import Trace
from handbook.lab.waiting import passed, wait_until

# What a point, or the word `kill`, means in a picture: (kind, label) or arguments of Trace.add.
Legend = Mapping[str, tuple[str, str] | Mapping[str, str]]
TAIL = 15
# By path, and without its folder on sys.path: importing the package would double the start-up time.
PROCESS_SIDE = Path(__file__).with_name("child_main.py")


class ChildFailedError(CheckFailedError):
    """A child ended although it should not have; the message holds its last lines."""


class Child:
    """`module:function` running in a process of its own.

    A parameter `at` of the function receives a checkpoint: `at(name)` reports the point to this
    side, and at the `stop_after`-th arrival at `stop_at` it blocks for ever. A parameter `stop`
    receives an event that SIGTERM sets. The child dies when this process does, however it dies.

    Raises:
        UsageError: the target does not exist or does not take `kwargs`; nothing was started.
    """

    def __init__(
        self,
        target: str,
        kwargs: Mapping[str, Any],
        *,
        stop_at: str | None = None,
        stop_after: int = 1,
        trace: Trace | None = None,
        lane: str | None = None,
        legend: Legend | None = None,
    ) -> None:
        check_target(target, kwargs)
        self.target = target
        self.kwargs = dict(kwargs)
        self._trace = trace
        self._lane = lane or target
        self._legend = dict(legend or {})
        self._start(stop_at, stop_after)

    @property
    def reached(self) -> list[str]:
        """The points that this process has reported, in order."""
        with self._news:
            return list(self._reached)

    @property
    def alive(self) -> bool:
        """True while the process runs, or is paused."""
        return self._process.poll() is None

    @property
    def returncode(self) -> int | None:
        """None while it runs; minus the signal's number when a signal ended it."""
        return self._process.poll()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def output(self) -> str:
        """What the process has written to stdout and stderr so far."""
        self._output.seek(0)
        return self._output.read().decode(errors="replace")

    def wait_for(self, point: str, count: int = 1, deadline: float = 15.0) -> None:
        """Wait until the process has reported `point` `count` times.

        Raises:
            ChildFailedError: it ended before; holds its last lines.
            DeadlinePassedError: not within `deadline` seconds.
        """
        what = f"{self.target} to reach `{point}`" + (f" {count} times" if count > 1 else "")
        end = time.monotonic() + deadline
        with self._news:
            while self._reached.count(point) < count:
                if self._silent:
                    raise self._failure(f"before it came to `{point}`")
                if not self._news.wait(end - time.monotonic()):
                    raise passed(what, deadline, self._reached[-5:])

    def kill(self) -> None:
        """SIGKILL, without warning; returns when the process is gone."""
        if self.alive:
            self._process.kill()
            self._process.wait()
            self._mark("kill", default=("crash", "SIGKILL"))
        self._ended()

    def stop(self, deadline: float = 10.0) -> None:
        """SIGTERM: let it finish what it does; returns when the process is gone.

        Raises:
            DeadlinePassedError: it did not end within `deadline` seconds, and was killed.
        """
        if self.alive:
            self._process.terminate()
            self.resume()
        self.wait(deadline)

    def wait(self, deadline: float = 15.0) -> int:
        """Wait until the process ends by itself; its exit code.

        Raises:
            ChildFailedError: it ended with a traceback.
            DeadlinePassedError: not within `deadline` seconds; it was killed.
        """
        try:
            code = self._process.wait(deadline)
        except subprocess.TimeoutExpired:
            last = self.reached[-5:]
            self.kill()
            raise passed(f"{self.target} to end", deadline, last) from None
        self._ended()
        if code > 0:
            raise self._failure("")
        return code

    def restart(self, *, stop_at: str | None = None, stop_after: int = 1) -> None:
        """Run the same target again, by default without a stop; ends it first if it runs."""
        if self.alive:
            self.stop()
        self._ended()
        self._start(stop_at, stop_after)

    def pause(self) -> None:
        """SIGSTOP: alive but silent; returns when it stands still."""
        self._process.send_signal(signal.SIGSTOP)
        process = psutil.Process(self.pid)
        wait_until(
            lambda: process.status() == psutil.STATUS_STOPPED, what=f"{self.target} to stand still"
        )

    def resume(self) -> None:
        """SIGCONT: undo `pause`."""
        if self.alive:
            self._process.send_signal(signal.SIGCONT)

    def _start(self, stop_at: str | None, stop_after: int) -> None:
        spec = {
            "target": self.target,
            "kwargs": self.kwargs,
            "stop_at": stop_at,
            "stop_after": stop_after,
            "path": sys.path,
        }
        self._reached: list[str] = []
        self._silent = False
        self._news = threading.Condition()
        self._output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by _ended
        reading, writing = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(PROCESS_SIDE), str(writing)],
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=self._output,
            pass_fds=(writing,),
            # A group of its own: Ctrl-C, or a kernel's interrupt, is not for the child.
            process_group=0,
        )
        os.close(writing)
        assert self._process.stdin is not None
        # Passwords go through the pipe: arguments are visible to every user. It stays open: when
        # this process dies the kernel closes it, and the child ends.
        self._process.stdin.write(json.dumps(spec).encode() + b"\n")
        self._process.stdin.flush()
        self._reader = threading.Thread(target=self._read, args=(reading,), daemon=True)
        self._reader.start()

    def _read(self, reading: int) -> None:
        with os.fdopen(reading, encoding="utf-8") as reports:
            for line in reports:
                point = line.rstrip("\n")
                self._mark(point)
                with self._news:
                    self._reached.append(point)
                    self._news.notify_all()
        self._process.wait()
        with self._news:
            self._silent = True
            self._news.notify_all()

    def _mark(self, point: str, default: tuple[str, str] | None = None) -> None:
        meaning = self._legend.get(point, default)
        if self._trace is None or meaning is None:
            return
        if isinstance(meaning, tuple):
            meaning = {"kind": meaning[0], "label": meaning[1]}
        self._trace.add(self._lane, **meaning)

    def _ended(self) -> None:
        self._reader.join()
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()

    def _failure(self, when: str) -> ChildFailedError:
        tail = "\n".join(self.output.splitlines()[-TAIL:])
        how = f"ended with exit code {self.returncode} {when}".rstrip()
        return ChildFailedError(
            f"{self.target} {how}. Its last lines:\n{tail or '(none)'}",
            "mend what the last lines say",
        )


def check_target(target: str, kwargs: Mapping[str, Any]) -> None:
    """Refuse what cannot be called, before a process is started."""
    module_name, _, function_name = target.partition(":")
    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"there is no `{target}` ({error})", "write module:function") from error
    known = inspect.signature(function).parameters
    offered = {"at", "stop"} & set(known)
    try:
        inspect.signature(function).bind(**kwargs, **dict.fromkeys(offered))
        json.dumps(dict(kwargs))
    except TypeError as error:
        raise UsageError(
            f"`{target}` cannot be called so: {error}",
            f"its parameters are: {', '.join(known)}; values must be JSON",
        ) from error
