"""The embedded Kafka: the real broker on a JRE from a wheel; each node is also a controller."""

from __future__ import annotations

import contextlib
import shutil
import socket
import struct
from pathlib import Path

import psutil

from handbook.stack import jars, processes
from handbook.stack.processes import Caller
from handbook.stack.settings import KAFKA, KAFKA_HEAP, kafka_replication
from handbook.stack.state import Node

LOG4J = Path(__file__).with_name("log4j2.yaml")
CLUSTER_ID = "bXNhLWhhbmRib29rLTAwMQ"
MAIN = "kafka.Kafka"


def folder(home: Path, node: Node) -> Path:
    """Where a broker works; the mark by which its process is recognised."""
    return home / f"kafka{node.id}"


def log(home: Path, node: Node) -> Path:
    """What a broker says."""
    return home / f"kafka{node.id}.log"


def process(home: Path, node: Node) -> psutil.Process | None:
    """The broker's process, or None. A storage formatter works in the same folder: not that one."""
    for candidate in processes.live(folder(home, node)):
        with contextlib.suppress(psutil.Error):
            if MAIN in candidate.cmdline():
                return candidate
    return None


def up(
    home: Path,
    nodes: tuple[Node, ...],
    node: Node,
    *,
    peers: tuple[Node, ...] = (),
    aot: tuple[str, ...] | None = None,
    caller: Caller | None = None,
    **popen: object,
) -> psutil.Process:
    """Start one broker, formatting or repairing its storage first.

    Returns when it serves metadata that holds itself and all `peers`. `aot` replaces the use of the
    start-up cache; `popen` goes to the processes.
    """
    caller = caller or Caller()
    expected = {node.id, *(peer.id for peer in peers)}

    def wait(broker: psutil.Process) -> psutil.Process:
        processes.wait_ready(
            f"Kafka broker {node.id}",
            process=broker,
            log=log(home, node),
            ready=lambda: brokers(node.port) >= expected,
            caller=caller,
        )
        return broker

    if (running := process(home, node)) is not None:
        processes.send([running], processes.CONTINUE)
        with contextlib.suppress(processes.EndedError):  # one that was being stopped
            return wait(running)
    return wait(_start(home, nodes, node, aot=aot, caller=caller, **popen))


def _start(
    home: Path,
    nodes: tuple[Node, ...],
    node: Node,
    *,
    aot: tuple[str, ...] | None,
    caller: Caller,
    **popen: object,
) -> psutil.Process:
    place = folder(home, node)
    processes.stop([place], processes.KILL, 5)  # a formatter that outlived its `up`
    place.mkdir(parents=True, exist_ok=True)
    (place / "server.properties").write_text(properties(nodes, node))
    shutil.copyfile(LOG4J, place / "log4j2.yaml")
    _format(place, aot=aot, caller=caller, **popen)
    command = jars.java(MAIN, "server.properties", heap=KAFKA_HEAP, aot=aot)
    return processes.spawn(command, folder=place, log=log(home, node), **popen)


def properties(nodes: tuple[Node, ...], node: Node) -> str:
    """The broker's configuration file."""
    here = {
        "process.roles": "broker,controller",
        "node.id": str(node.id),
        "controller.quorum.voters": ",".join(
            f"{n.id}@127.0.0.1:{n.controller_port}" for n in nodes
        ),
        "listeners": f"PLAINTEXT://127.0.0.1:{node.port},CONTROLLER://127.0.0.1:{node.controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{node.port}",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": "data",  # relative: a checkout's path may hold a comma, and may be moved
    }
    settings = here | KAFKA | kafka_replication(len(nodes))
    return "".join(f"{key}={value}\n" for key, value in settings.items())


def formatted(place: Path) -> bool:
    """True when the storage was formatted to its end."""
    return (place / "data" / "meta.properties").exists() and not (place / "format.new").exists()


def discard_half_made(place: Path) -> None:
    """Delete a broker's folder whose storage was not formatted to its end."""
    if not formatted(place):
        shutil.rmtree(place, ignore_errors=True)


def _format(place: Path, *, aot: tuple[str, ...] | None, caller: Caller, **popen: object) -> None:
    if formatted(place):
        return
    shutil.rmtree(place / "data", ignore_errors=True)
    (place / "format.new").touch()  # a cut-off format is begun anew
    caller.say("Kafka: formatting its storage")
    arguments = ("format", "-t", CLUSTER_ID, "-c", "server.properties")
    command = jars.java("kafka.tools.StorageTool", *arguments, aot=() if aot else None)
    processes.run(command, folder=place, caller=caller, what="Formatting Kafka's storage", **popen)
    (place / "format.new").unlink()


def whole(nodes: tuple[Node, ...]) -> bool:
    """True when every broker knows every other; after a pause or a start this takes a moment."""
    everyone = {node.id for node in nodes}
    return all(brokers(node.port) == everyone for node in nodes)


def brokers(port: int) -> set[int]:
    """Ids of the brokers that the one on `port` knows: registered, unfenced, serving; or none."""
    try:
        with socket.create_connection(("127.0.0.1", port), 0.5) as connection:
            request = struct.pack(">hhihi?", 3, 4, 1, -1, 0, False)  # Metadata v4, no topics
            connection.sendall(struct.pack(">i", len(request)) + request)
            (length,) = struct.unpack(">i", _exactly(connection, 4))
            return set(_broker_ids(_exactly(connection, length)))
    except (OSError, struct.error, EOFError):
        return set()


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        if not (part := connection.recv(count - len(data))):
            raise EOFError
        data += part
    return data


def _broker_ids(body: bytes) -> list[int]:
    """Of a Metadata v4 response: correlation id, throttle time, then id, host, port, rack each."""
    ids = []
    (count,) = struct.unpack_from(">i", body, 8)
    at = 12
    for _ in range(count):
        node, host = struct.unpack_from(">ih", body, at)
        at += 6 + host + 4
        (rack,) = struct.unpack_from(">h", body, at)
        at += 2 + max(rack, 0)
        ids.append(node)
    return ids
