"""What a checkout remembers of its embedded stack: ports and passwords, chosen once."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from handbook import paths
from handbook.errors import StackError
from handbook.stack.processes import Say, quiet

# Below Linux's ephemeral range (32768-): no outgoing connection can take one while we are down.
PORTS = range(29000, 30000)
NAME = "state.json"


@dataclass(frozen=True)
class Node:
    """One Kafka broker, which is also a controller."""

    id: int
    port: int
    controller_port: int


@dataclass(frozen=True)
class State:
    """Written once at the first `up`, mode 0600."""

    postgres_port: int
    superuser_password: str = field(repr=False)
    tooling_password: str = field(repr=False)
    nodes: tuple[Node, ...]

    def ports(self) -> list[int]:
        """Every port of this stack."""
        pairs = ((node.port, node.controller_port) for node in self.nodes)
        return [self.postgres_port, *(port for pair in pairs for port in pair)]


def load(home: Path) -> State | None:
    """The state of `home`, or None before the first `up`.

    Raises:
        StackError: the file is damaged.
    """
    try:
        raw = json.loads((home / NAME).read_text())
        nodes = tuple(Node(**node) for node in raw.pop("nodes"))
        return State(**raw, nodes=nodes)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StackError(
            f"{home / NAME} is damaged.", "`handbook wipe`, then `handbook up` (deletes the data)"
        ) from error


def create(home: Path, *, brokers: int) -> State:
    """Choose ports and passwords and write them, whole or not at all."""
    with locked(paths.cache_home() / "ports.lock"):
        ports = free_ports(1 + 2 * brokers)
        state = State(
            postgres_port=ports[0],
            superuser_password=secrets.token_urlsafe(18),
            tooling_password=secrets.token_urlsafe(18),
            nodes=tuple(Node(i + 1, ports[1 + 2 * i], ports[2 + 2 * i]) for i in range(brokers)),
        )
        write_private(home / NAME, asdict(state))
        claims = _claimed_ports() | {str(port): str(home) for port in ports}
        write_private(paths.cache_home() / "ports.json", claims)
    return state


def _claimed_ports() -> dict[str, str]:
    """Ports of this user's other checkouts, also of those that are down; wiped ones fall out."""
    try:
        claims: dict[str, str] = json.loads((paths.cache_home() / "ports.json").read_text())
        return {port: home for port, home in claims.items() if (Path(home) / NAME).exists()}
    except (OSError, ValueError, AttributeError):
        return {}


def write_private(path: Path, value: Any) -> None:
    """Write JSON that only its owner reads, whole or not at all."""
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123
        json.dump(value, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


@contextlib.contextmanager
def locked(path: Path, say: Say = quiet) -> Iterator[None]:
    """One holder at a time; the kernel frees the lock when its holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with path.open("a+") as handle:
            _lock(handle.fileno(), path, say)
            if not _is_still(path, handle.fileno()):
                continue  # a wipe deleted the file under us: lock the new one
            path.write_text(f"{os.getpid()}\n")
            yield
            return


@contextlib.contextmanager
def try_locked(path: Path) -> Iterator[bool]:
    """Like `locked`, but False at once when somebody else holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as handle:
        try:
            fcntl.flock(handle.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def _lock(descriptor: int, path: Path, say: Say) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = path.read_text().strip() or "?"
        say(f"waiting: another handbook command (pid {holder}) is at work here")
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now and no checkout of this user has claimed.

    Raises:
        StackError: there are not so many.
    """
    found: list[int] = []
    claimed = _claimed_ports()
    candidates = [port for port in PORTS if str(port) not in claimed]
    while len(found) < count:
        if not candidates:
            raise StackError(
                f"No free port is left in {PORTS.start}-{PORTS.stop - 1}.",
                "stop programs that hold them, or `handbook wipe` checkouts you no longer use",
            )
        port = candidates.pop(secrets.randbelow(len(candidates)))
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
    return found
