"""What a checkout remembers of its embedded stack: ports and passwords, chosen once."""

from __future__ import annotations

import contextlib
import fcntl
import json
import secrets
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

# Below Linux's ephemeral range (32768-): no outgoing connection can take one while we are down.
PORTS = range(29000, 30000)


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
    superuser_password: str
    tooling_password: str
    nodes: tuple[Node, ...]


def load(home: Path) -> State | None:
    """The state of `home`, or None before the first `up`."""
    with contextlib.suppress(FileNotFoundError):
        raw = json.loads((home / "state.json").read_text())
        nodes = tuple(Node(**n) for n in raw.pop("nodes"))
        return State(**raw, nodes=nodes)
    return None


def create(home: Path, *, brokers: int) -> State:
    """Choose ports and passwords and write them, whole or not at all."""
    ports = free_ports(1 + 2 * brokers)
    state = State(
        postgres_port=ports[0],
        superuser_password=secrets.token_urlsafe(18),
        tooling_password=secrets.token_urlsafe(18),
        nodes=tuple(Node(i + 1, ports[1 + 2 * i], ports[2 + 2 * i]) for i in range(brokers)),
    )
    part = home / "state.part"
    part.unlink(missing_ok=True)
    part.touch(0o600)
    part.write_text(json.dumps(asdict(state), indent=1))
    part.replace(home / "state.json")
    return state


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """One holder at a time; the kernel frees the lock when its holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    found: list[int] = []
    while len(found) < count:
        port = PORTS.start + secrets.randbelow(len(PORTS))
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in found:
                found.append(port)
    return found
