"""A function in a real process of its own, which a lab can kill at a named point."""

from __future__ import annotations

import difflib
import importlib
import inspect
import signal
import time
from collections.abc import Mapping
from typing import Any

import psutil

from handbook.errors import CheckFailedError, UsageError
from handbook.lab.process import Process, encode
from handbook.lab.trace import Trace
from handbook.lab.waiting import passed, wait_until

# What a point, or the word `kill`, means in a picture: (kind, label) or arguments of Trace.add.
Legend = Mapping[str, tuple[str, str] | Mapping[str, str]]
TAIL = 15


class ChildFailedError(CheckFailedError):
    """A child ended although it should not have; the message holds its last lines."""


class Child:
    """`module:function` running in a process of its own.

    A parameter `at` of the function receives a checkpoint: `at(name)` reports the point to this
    side, and at the `stop_after`-th arrival at `stop_at` it blocks for ever. A parameter `stop`
    receives an event (asyncio's in an async function, else threading's) that SIGTERM sets. The
    child dies when this process does, however it dies.

    Args:
        target: `module:function`.
        kwargs: Its arguments, as JSON can hold them.
        stop_at: The point at which it stands still.
        stop_after: At which arrival there.
        trace: Records the points that `legend` knows.
        lane: Whose they are in the picture; the target by default.
        legend: Point, or `kill`, to what it means in the picture.

    Raises:
        UsageError: the target does not exist or does not take `kwargs`; nothing was started.
    """

    def __init__(
        self,
        target: str,
        kwargs: Mapping[str, Any] | None = None,
        *,
        stop_at: str | None = None,
        stop_after: int = 1,
        trace: Trace | None = None,
        lane: str | None = None,
        legend: Legend | None = None,
    ) -> None:
        self.target = target
        self.kwargs = dict(kwargs or {})
        check_target(target, self.kwargs)
        self._trace = trace
        self._lane = lane or target
        self._legend = dict(legend or {})
        self._process = self._start(stop_at, stop_after)

    @property
    def reached(self) -> list[str]:
        """The points that this process has reported, in order."""
        with self._process.news:
            return list(self._process.points)

    @property
    def alive(self) -> bool:
        """True while the process runs, or is paused."""
        return not self._process.ended

    @property
    def returncode(self) -> int | None:
        """None while it runs; minus the signal's number when a signal ended it."""
        return self._process.code

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def output(self) -> str:
        """What the process has written to stdout and stderr so far."""
        return self._process.output

    def wait_for(self, point: str, count: int = 1, deadline: float = 15.0) -> None:
        """Wait until the process has reported `point` `count` times.

        Raises:
            ChildFailedError: it ended before; holds its last lines.
            DeadlinePassedError: not within `deadline` seconds.
        """
        what = f"{self.target} to come to `{point}`" + (f" {count} times" if count > 1 else "")
        process, end = self._process, time.monotonic() + deadline
        with process.news:
            while process.points.count(point) < count:
                if process.ended:
                    raise self._failure(f"before it came to `{point}`")
                if not process.news.wait(end - time.monotonic()):
                    raise passed(what, deadline, process.points[-5:])

    def kill(self) -> None:
        """SIGKILL, without warning; returns when the process is gone."""
        if self.alive:
            self._process.signal(signal.SIGKILL)
            self._process.join()
            self._mark("kill", default=("crash", "SIGKILL"))

    def stop(self, deadline: float = 10.0) -> None:
        """SIGTERM: let it finish what it does; returns when the process is gone.

        Raises:
            ChildFailedError: it ended with a traceback.
            DeadlinePassedError: it did not end within `deadline` seconds, and was killed.
        """
        self._process.signal(signal.SIGTERM)
        self.resume()  # a paused process takes no signal
        self.wait(deadline)

    def wait(self, deadline: float = 15.0) -> int:
        """Wait until the process ends by itself; its exit code.

        Raises:
            ChildFailedError: it ended with a traceback.
            DeadlinePassedError: not within `deadline` seconds; it was killed.
        """
        if not self._process.join(deadline):
            last = self.reached[-5:]
            self.kill()
            raise passed(f"{self.target} to end", deadline, last)
        code = self._process.code
        assert code is not None
        if code > 0:
            raise self._failure("")
        return code

    def restart(self, *, stop_at: str | None = None, stop_after: int = 1) -> None:
        """Run the same target again, by default without a stop; ends it first if it runs."""
        if self.alive:
            self.stop()
        self._process = self._start(stop_at, stop_after)

    def pause(self) -> None:
        """SIGSTOP: alive but silent; returns when it stands still."""
        self._process.signal(signal.SIGSTOP)
        wait_until(self._stands_still, what=f"{self.target} to stand still")

    def resume(self) -> None:
        """SIGCONT: undo `pause`."""
        self._process.signal(signal.SIGCONT)

    def _start(self, stop_at: str | None, stop_after: int) -> Process:
        spec = {
            "target": self.target,
            "kwargs": self.kwargs,
            "stop_at": stop_at,
            "stop_after": stop_after,
        }
        return Process(spec, on_point=self._mark)

    def _stands_still(self) -> bool:
        if not self.alive:
            raise self._failure("before it was paused")
        return bool(psutil.Process(self.pid).status() == psutil.STATUS_STOPPED)

    def _mark(self, point: str, default: tuple[str, str] | None = None) -> None:
        meaning = self._legend.get(point, default)
        if self._trace is None or meaning is None:
            return
        if isinstance(meaning, tuple):
            meaning = {"kind": meaning[0], "label": meaning[1]}
        self._trace.add(self._lane, **meaning)

    def _failure(self, when: str) -> ChildFailedError:
        tail = "\n".join(self.output.splitlines()[-TAIL:])
        code = self.returncode
        killed = code is not None and code < 0
        how = f"was ended by signal {-(code or 0)}" if killed else f"ended with exit code {code}"
        return ChildFailedError(
            f"{self.target} {how} {when}".rstrip() + f"; its last lines:\n{tail or '(none)'}",
            "mend what the last lines say",
        )


def check_target(target: str, kwargs: Mapping[str, Any]) -> None:
    """Refuse what cannot be called, before a process is started."""
    module_name, _, function_name = target.partition(":")
    try:
        module = importlib.import_module(module_name)
    except (ImportError, ValueError) as error:
        raise UsageError(f"there is no `{target}` ({error})", "write module:function") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        near = difflib.get_close_matches(function_name, vars(module), n=1)
        hint = f"did you mean `{module_name}:{near[0]}`?" if near else "write module:function"
        raise UsageError(f"{module_name} has no function `{function_name}`", hint)
    signature = inspect.signature(function)
    given = dict.fromkeys({"at", "stop"} & set(signature.parameters))
    try:
        signature.bind(**{**given, **kwargs})
        encode(kwargs)
    except TypeError as error:
        raise UsageError(
            f"`{target}` cannot be called with {', '.join(kwargs) or 'nothing'}: {error}",
            f"its parameters are ({', '.join(signature.parameters)}); values must be JSON",
        ) from error
