"""The embedded Kafka: the real broker on a JRE from a wheel, combined broker and controller nodes."""

from __future__ import annotations

import socket
import string
import struct
import subprocess
from pathlib import Path

from handbook.stack import jars, processes
from handbook.stack.state import Node

PROPERTIES = Path(__file__).with_name("server.properties.in")
CLUSTER_ID = "bXNhLWhhbmRib29rLTAwMQ"
HEAP = "256m"


def up(home: Path, nodes: tuple[Node, ...], node: Node, *, record: Path | None = None) -> None:
    """Start one broker, formatting its storage first; returns when it serves metadata."""
    folder = home / f"kafka{node.id}"
    if not processes.live(folder):
        many = len(nodes) > 1
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "server.properties"
        config.write_text(
            string.Template(PROPERTIES.read_text()).substitute(
                node=node.id,
                port=node.port,
                cport=node.controller_port,
                data=folder / "data",
                rf=3 if many else 1,
                isr=2 if many else 1,
                voters=",".join(f"{n.id}@127.0.0.1:{n.controller_port}" for n in nodes),
            )
        )
        if not (folder / "data" / "meta.properties").exists():
            command = jars.java(
                "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", config
            )
            subprocess.run([str(a) for a in command], check=True, stdout=subprocess.DEVNULL)
        command = jars.java("kafka.Kafka", config, heap=HEAP, record=record)
        processes.spawn(command, folder=folder, log=folder / "kafka.log")
    processes.wait_ready(
        "Kafka", folder=folder, log=folder / "kafka.log", ready=lambda: answers(node.port)
    )


def answers(port: int) -> bool:
    """True when a Metadata request returns at least one broker: registered, unfenced, serving."""
    try:
        with socket.create_connection(("127.0.0.1", port), 0.3) as sock:
            body = struct.pack(">hhihi?", 3, 4, 1, -1, 0, False)
            sock.sendall(struct.pack(">i", len(body)) + body)
            brokers: int = struct.unpack(">iiii", sock.recv(16))[3]
            return brokers > 0
    except (OSError, struct.error):
        return False
