"""PostgreSQL, Kafka and the processes of running labs, as the bar below the page shows them."""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import dataclass
from typing import Any, get_args

import psutil

from handbook.errors import UsageError
from handbook.lab.process import PROCESS_SIDE
from handbook.stack import compose, embedded, external, state
from handbook.stack.faults import EmbeddedFaults
from handbook.stack.model import Service
from handbook.stack.status import servers

NAMES: dict[Service, str] = {"postgres": "PostgreSQL", "kafka": "Kafka"}


@dataclass(frozen=True)
class Process:
    """A process that a lab of this server has started, such as a relay."""

    pid: int
    name: str


def look() -> dict[str, Any]:
    """How everything is now; `mine` says whether the servers may be killed and started."""
    return {
        "mine": mine(),
        "servers": [{"id": key, "name": NAMES[key], "state": _state(key)} for key in NAMES],
        "processes": [{"pid": child.pid, "name": child.name} for child in processes()],
    }


def mine() -> bool:
    """Only servers of this checkout may be broken: others may be somebody else's."""
    return not external.configured() and not compose.chosen()


def act(action: str, server: str) -> None:
    """Kill or start a server of the embedded stack; returns when it is done.

    Raises:
        UsageError: no such action or server, or the servers are not ours.
        StackError: it does not run, or does not start.
    """
    if not mine():
        raise UsageError("these servers are not ours", "kill and start them where they run")
    service = next((known for known in get_args(Service) if known == server), None)
    if service is None or action not in {"kill", "start"}:
        raise UsageError(f"cannot {action} {server}", "kill or start postgres or kafka")
    home = embedded.home()
    if action == "kill":
        EmbeddedFaults(home).kill(service)
    elif state.load(home) is None:
        embedded.up()
    else:
        EmbeddedFaults(home).start(service)


def kill(pid: int) -> None:
    """SIGKILL a process that a lab of this server has started.

    Raises:
        UsageError: it is none of them.
    """
    if pid not in {child.pid for child in processes()}:
        raise UsageError(f"process {pid} is no process of a lab", "look again: it may have ended")
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(pid).kill()


def processes() -> list[Process]:
    """What `lab.start` has started in this server's kernels and still runs, oldest first."""
    found = []
    for child in _descendants(psutil.Process(os.getpid())):
        with contextlib.suppress(psutil.Error):
            if _is_forked(child) and _is_forked(child.parent()):
                found.append((child.create_time(), child.pid, child.name()))
    return [Process(pid, name) for _, pid, name in sorted(found)]


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return process.children(recursive=True)
    return []


def _is_forked(process: psutil.Process | None) -> bool:
    """A child has the command line of the interpreter that forked it."""
    return process is not None and str(PROCESS_SIDE) in process.cmdline()


def _state(service: Service) -> str:
    if not mine():
        return _reached(service)
    return next((s.state for s in _servers() if s.name.startswith(service)), "stopped")


def _servers() -> list[Any]:
    known = state.load(embedded.home())
    return servers(embedded.home(), known) if known else []


def _reached(service: Service) -> str:
    from handbook.stack import connect

    stack = connect()
    host, _, port = (
        (stack.postgres.host, "", str(stack.postgres.port))
        if service == "postgres"
        else stack.kafka.bootstrap.split(",")[0].rpartition(":")
    )
    with contextlib.suppress(OSError, ValueError), socket.create_connection((host, int(port)), 1):
        return "running"
    return "stopped"
