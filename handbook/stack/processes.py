"""Our own server processes, recognised without pid files.

Ours is a process named `postgres` or `java` whose working directory is one of our data folders. A
reused pid cannot match, a leftover of a killed `up` does, a shell that stands there does not, and a
zombie has no working directory.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from handbook.errors import StackError

SERVERS = ("postgres", "initdb", "java")
POLL = 0.02
KILL, CONTINUE, PAUSE = signal.SIGKILL, signal.SIGCONT, signal.SIGSTOP
LOG_LIMIT = 5 * 2**20  # bytes; an older log is kept once, as *.old
# A reader's own settings for other JVMs, clusters and Kafkas must not reach our servers.
FOREIGN_ENVIRONMENT = ("PG", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "CLASSPATH")

Say = Callable[[str], None]


def quiet(_line: str) -> None:
    """Says nothing."""


class PortTakenError(StackError):
    """A port of ours is held by somebody else."""


class EndedError(StackError):
    """A server ended while we waited for its answer."""


class CancelledError(Exception):
    """The caller gave up; what was started is being stopped."""


@dataclass(frozen=True)
class Caller:
    """Who waits for a start: is told of each step, and may give up."""

    say: Say = quiet
    cancelled: threading.Event = field(default_factory=threading.Event)

    def pause(self) -> None:
        """A short wait between two looks.

        Raises:
            CancelledError: the caller gave up.
        """
        if self.cancelled.wait(POLL):
            raise CancelledError


_children: list[subprocess.Popen[bytes]] = []
_children_lock = threading.Lock()


def _reap() -> None:
    """Take the exit codes of servers this process started, or they stay zombies."""
    with _children_lock:
        _children[:] = [child for child in _children if child.poll() is None]


@atexit.register
def _let_go() -> None:
    """Servers outlive us by design: no warning about children that still run."""
    for child in _children:
        child.returncode = 0


def live(*folders: Path) -> list[psutil.Process]:
    """The servers working in any of `folders`."""
    _reap()
    wanted = {str(folder) for folder in folders}
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.name() in SERVERS and process.cwd() in wanted:
                found.append(process)
    return found


def stop(folders: Iterable[Path], sig: signal.Signals | None, limit: float) -> bool:
    """Signal every server in `folders` (None: only wait); True when all ended within `limit` s."""
    folders = list(folders)
    deadline = time.monotonic() + limit
    remaining = live(*folders)
    if sig is not None:
        send(remaining, sig)
    while remaining:
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL)
        remaining = live(*folders)
        if sig == signal.SIGKILL:
            send(remaining, sig)  # one may have been forked meanwhile
    return True


def send(targets: Iterable[psutil.Process], sig: signal.Signals) -> None:
    """Signal each, the oldest first: a postmaster before the backends it would replace."""
    for process in sorted(targets, key=lambda p: (p.create_time(), p.pid)):
        with contextlib.suppress(psutil.Error):
            process.send_signal(sig)


def environment() -> dict[str, str]:
    """Ours without what is meant for the reader's own programs; UTF-8 for paths in any language."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(FOREIGN_ENVIRONMENT)}
    return kept | {"LC_ALL": "C.UTF-8"}


def spawn(args: Sequence[object], *, folder: Path, log: Path, **popen: Any) -> psutil.Process:
    """Start a server in a session of its own, so that it outlives the caller and its Ctrl-C."""
    if log.exists() and log.stat().st_size > LOG_LIMIT:
        log.replace(log.with_suffix(".old"))
    with log.open("ab") as out:
        child = subprocess.Popen(
            [str(a) for a in args],
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            **popen,
        )
    process = psutil.Process(child.pid)
    with _children_lock:
        _children.append(child)
    return process


def run(args: Sequence[object], *, folder: Path, caller: Caller, what: str, **popen: Any) -> None:
    """Run a program to its end; killed when the caller gives up.

    Raises:
        StackError: it failed; holds its last lines.
    """
    child = subprocess.Popen(
        [str(a) for a in args],
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        **popen,
    )
    with child:
        try:
            output = _output(child, caller)
        except BaseException:
            child.kill()
            raise
    if child.returncode:
        raise StackError(
            f"{what} failed (exit code {child.returncode}):\n{tail(output)}",
            "mend what the lines above name, then run `handbook up` again",
        )


def _output(child: subprocess.Popen[bytes], caller: Caller) -> str:
    while True:
        try:
            return child.communicate(timeout=POLL)[0].decode(errors="replace")
        except subprocess.TimeoutExpired:
            caller.pause()


def tail(text: str, lines: int = 12) -> str:
    """The last lines of `text`."""
    return "\n".join(text.splitlines()[-lines:])


def wait_ready(
    name: str,
    *,
    process: psutil.Process,
    log: Path,
    ready: Callable[[], bool],
    caller: Caller,
    limit: float = 60.0,
) -> None:
    """Wait until `ready()`.

    Raises:
        EndedError: the server ended; holds the log's last lines, as all of these do.
        StackError: it did not answer within `limit` s.
        CancelledError: the caller gave up.
    """
    deadline = time.monotonic() + limit
    while not ready():
        late = time.monotonic() > deadline
        if late or not alive(process):
            happened = f"did not answer within {limit:.0f} s" if late else "ended while starting"
            kind = StackError if late else EndedError
            raise kind(
                f"{name} {happened}. Last lines of {log}:\n{tail(log.read_text(errors='replace'))}",
                "mend what the log names, then `handbook up`; `handbook doctor` checks the machine",
            )
        caller.pause()


def alive(process: psutil.Process) -> bool:
    """True unless it ended; a zombie has."""
    _reap()
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def require_free_port(port: int, name: str) -> None:
    """Refuse to start on a port that someone else holds.

    Raises:
        PortTakenError: names the port and, where the system tells, the process.
    """
    with socket.socket() as probe:
        # Like the servers themselves: connections that are still closing do not hold the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise PortTakenError(
                f"Port {port}, which {name} has in this checkout, is taken by {_holder(port)}.",
                "stop that process, or `handbook wipe` to choose new ports (deletes the data)",
            ) from error


def _holder(port: int) -> str:
    with contextlib.suppress(psutil.Error, PermissionError):
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.pid:
                return f"`{psutil.Process(connection.pid).name()}` (pid {connection.pid})"
    return "another process, which this user may not see"
