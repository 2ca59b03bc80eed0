"""The process side of `process`: a warm interpreter that forks a child for every request.

Importing the clients takes most of a second of processor time, and a lab starts twenty children:
this process imports them once. It imports nothing of ours, so that a child runs the code as it is
on disk now. Run as `python -P child_main.py <socket>`; ends when the other end of the socket does.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import inspect
import json
import os
import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

CLIENTS = ("asyncio", "uuid", "psycopg", "psycopg_pool", "aiokafka")
# What services need besides: imported while nobody asks for a child.
LATER = (
    "httpx",
    "starlette.applications",
    "uvicorn.protocols.http.auto",
    "uvicorn.lifespan.on",
    "tenacity",
    "msgspec",
)
FILES = 4  # a request carries the child's stdin, reports, output and status
_statuses: dict[int, int] = {}


def main() -> None:
    """Fork a child for every request."""
    for name in CLIENTS:
        _warm(name)
    signal.signal(signal.SIGCHLD, lambda *_: _report_ends())
    later = list(LATER)
    with socket.socket(fileno=int(sys.argv[1])) as requests:
        while True:
            while later and not select.select([requests], [], [], 0)[0]:
                _warm(later.pop(0))
            _, files, _, _ = socket.recv_fds(requests, 1, FILES)
            if len(files) < FILES:
                return  # the end of file: our lab is gone, and its children go by themselves
            _fork(requests, *files)


def _warm(name: str) -> None:
    with contextlib.suppress(ImportError):  # the child that needs it will say so
        importlib.import_module(name)


def _fork(requests: socket.socket, stdin: int, reports: int, output: int, status: int) -> None:
    # Blocked until the child is in the table: it may end before `fork` returns.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    pid = os.fork()
    if pid == 0:
        requests.detach()
        os.close(int(sys.argv[1]))
        os.close(status)
        for other in _statuses.values():
            os.close(other)
        _be_child(stdin, reports, output)
    _statuses[pid] = status
    os.write(status, f"{pid}\n".encode())
    for file in (stdin, reports, output):
        os.close(file)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})


def _report_ends() -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            pipe = _statuses.pop(pid)
            with contextlib.suppress(BrokenPipeError):
                os.write(pipe, f"{os.waitstatus_to_exitcode(status)}\n".encode())
            os.close(pipe)


def _be_child(stdin: int, reports: int, output: int) -> None:
    """Run what stdin asks for; never returns."""
    code = 1
    try:
        # A group of its own: Ctrl-C, or a kernel's interrupt, is not for the child. And when the
        # lab dies while the child is paused, the kernel resumes it, to read the end of its stdin.
        os.setpgid(0, 0)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        for file, place in ((stdin, 0), (output, 1), (output, 2)):
            os.dup2(file, place)
        os.close(stdin)
        os.close(output)
        _run(reports)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _run(reports: int) -> None:
    with os.fdopen(os.dup(0), encoding="utf-8") as stdin:
        line = stdin.readline()
    threading.Thread(target=_die_with_parent, daemon=True).start()
    spec = json.loads(line)
    os.environ.clear()
    os.environ.update(spec["environ"])
    os.chdir(spec["cwd"])
    sys.path[:] = spec["path"]
    module_name, _, function_name = spec["target"].partition(":")
    _name(module_name.rpartition(".")[2])
    function = getattr(importlib.import_module(module_name), function_name)
    kwargs: dict[str, Any] = {name: _restored(value) for name, value in spec["kwargs"].items()}
    parameters = inspect.signature(function).parameters
    if "at" in parameters:
        kwargs["at"] = checkpoint(reports, spec["stop_at"], spec["stop_after"])
    if inspect.iscoroutinefunction(function):
        asyncio.run(_run_async(function, kwargs, "stop" in parameters))
        return
    if "stop" in parameters:
        stop = kwargs["stop"] = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
    function(**kwargs)


def _name(name: str) -> None:
    """How `ps` and the live site show the child, where the system can: `relay`."""
    with contextlib.suppress(OSError), open("/proc/self/comm", "w") as comm:  # noqa: PTH123
        comm.write(name)


async def _run_async(function: Callable[..., Any], kwargs: dict[str, Any], stoppable: bool) -> None:
    if stoppable:
        stop = kwargs["stop"] = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await function(**kwargs)


def checkpoint(reports: int, stop_at: str | None, stop_after: int) -> Callable[[str], None]:
    """A checkpoint that tells the parent, and stands still where it is to be killed."""
    arrivals = 0

    def at(name: str) -> None:
        nonlocal arrivals
        os.write(reports, f"{name}\n".encode())
        if name == stop_at:
            arrivals += 1
            if arrivals == stop_after:
                threading.Event().wait()  # for ever, the event loop with it: not one step further

    return at


def _restored(value: Any) -> Any:
    """A TLS setting cannot be sent, but made again from the same environment."""
    if isinstance(value, dict):
        if value == {"$handbook": "ssl_context"}:
            from handbook.stack import connect

            return connect().kafka.security["ssl_context"]
        return {name: _restored(inner) for name, inner in value.items()}
    return value


def _die_with_parent() -> None:
    os.read(0, 1)  # nothing comes; the end of file does, when the parent is gone
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
