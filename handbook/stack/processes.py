"""Our own server processes, recognised without pid files.

Ours is a process named `postgres` or `java` whose working directory is one of our data folders. A
reused pid cannot match, a leftover of a killed `up` does, a shell that stands there does not, and a
zombie has no working directory.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import psutil

from handbook.errors import StackError

SERVERS = ("postgres", "java")
POLL = 0.02


def live(folder: Path) -> list[psutil.Process]:
    """The servers working in `folder`."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.name() in SERVERS and process.cwd() == str(folder):
                found.append(process)
    return found


def stop(folders: Iterable[Path], sig: signal.Signals | None, limit: float) -> bool:
    """Signal every server in `folders` (None: only wait); True when all ended within `limit` s."""
    folders = list(folders)
    if sig is not None:
        for process in [p for folder in folders for p in live(folder)]:
            with contextlib.suppress(psutil.Error):
                process.send_signal(sig)
    deadline = time.monotonic() + limit
    while any(live(folder) for folder in folders):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL)
    return True


def spawn(args: Sequence[object], *, folder: Path, log: Path, **popen: Any) -> int:
    """Start a server in a session of its own, so that it outlives the caller and its Ctrl-C."""
    with log.open("ab") as out:
        return subprocess.Popen(
            [str(a) for a in args],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            **popen,
        ).pid


def wait_ready(
    name: str, *, folder: Path, log: Path, ready: Callable[[], bool], limit: float = 60.0
) -> None:
    """Wait until `ready()`.

    Raises:
        StackError: the server died or did not answer within `limit` s; holds the log's last lines.
    """
    deadline = time.monotonic() + limit
    while not ready():
        if not live(folder) or time.monotonic() > deadline:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-12:])
            raise StackError(
                f"{name} did not start. Last lines of {log}:\n{tail}",
                "read the log above, then `handbook doctor`",
            )
        time.sleep(POLL)
