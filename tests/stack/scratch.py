"""Servers of a test's own: brokers with any properties, a PostgreSQL, listeners that misbehave."""

from __future__ import annotations

import contextlib
import select
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from handbook.stack import jars, kafka, processes, settings, state
from handbook.stack.processes import Caller


def broker_ports(brokers: int) -> list[tuple[int, int]]:
    """A client's and a controller's port for each broker."""
    ports = state.free_ports(2 * brokers)
    return list(zip(ports[::2], ports[1::2], strict=True))


def plain_broker(node: int, ports: list[tuple[int, int]]) -> dict[str, str]:
    """Properties of one of `len(ports)` brokers, as the embedded stack has them."""
    nodes = tuple(state.Node(i + 1, *pair) for i, pair in enumerate(ports))
    lines = kafka.properties(nodes, nodes[node - 1]).splitlines()
    return dict(line.split("=", 1) for line in lines)


@contextlib.contextmanager
def started_broker(folder: Path, properties: dict[str, str], *extra: str) -> Iterator[Path]:
    """Format `folder` and start a broker in it; does not wait for it. Killed at the end."""
    folder.mkdir(parents=True)
    text = "".join(f"{key}={value}\n" for key, value in properties.items())
    (folder / "server.properties").write_text(text)
    shutil.copyfile(kafka.LOG4J, folder / "log4j2.yaml")
    jars.fetch()
    arguments = ("format", "-t", kafka.CLUSTER_ID, "-c", "server.properties", *extra)
    command = jars.java("kafka.tools.StorageTool", *arguments)
    processes.run(command, folder=folder, caller=Caller(), what="Formatting")
    with running_broker(folder):
        yield folder


@contextlib.contextmanager
def running_broker(folder: Path) -> Iterator[None]:
    """Start a broker in a formatted folder. Killed at the end."""
    command = jars.java("kafka.Kafka", "server.properties", heap=settings.KAFKA_HEAP)
    processes.spawn(command, folder=folder, log=folder / "kafka.log")
    try:
        yield
    finally:
        stop(folder)


def stop(folder: Path) -> None:
    """SIGKILL to the server in `folder`."""
    processes.stop([folder], signal.SIGKILL, 10)


def wait_until(true: Callable[[], bool], what: str, deadline: float = 60.0) -> None:
    """Wait for a condition; a test that waits too long says for what."""
    end = time.monotonic() + deadline
    while not true():
        assert time.monotonic() < end, f"waited {deadline} s for {what}"
        time.sleep(0.05)


@contextlib.contextmanager
def listener(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port on which every connection is handed to `answer`."""
    open_ones: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                open_ones.append(connection)
                threading.Thread(target=answer, args=[connection], daemon=True).start()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(5)
            for connection in open_ones:
                connection.close()


def never_answer(connection: socket.socket) -> None:
    """Accepts, and that is all."""


def certificates(folder: Path) -> dict[str, Path]:
    """An authority of our own and a key pair for 127.0.0.1 and localhost that it signed.

    `bundle` holds key and certificate in one file, as Kafka's PEM key store wants them;
    `stranger` is an authority that signed nothing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "names.ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "rsa:2048", "-nodes")
    for name in ("ca", "stranger"):
        openssl("req", "-x509", *key, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "2",
                "-subj", f"/CN={name}")  # fmt: skip
    openssl("req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2",
            "-CAcreateserial", "-extfile", "names.ext", "-out", "server.pem")  # fmt: skip
    (folder / "server.key").chmod(0o600)
    bundle = (folder / "server.key").read_text() + (folder / "server.pem").read_text()
    (folder / "bundle.pem").write_text(bundle)
    names = ("ca.pem", "stranger.pem", "server.key", "server.pem", "bundle.pem")
    return {Path(name).stem if name != "server.key" else "key": folder / name for name in names}


@contextlib.contextmanager
def tls_in_front_of(port: int, papers: dict[str, Path]) -> Iterator[int]:
    """A port that speaks PostgreSQL over TLS and passes it on to a server without."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(papers["server"], papers["key"])

    def serve(plain: socket.socket) -> None:
        with contextlib.suppress(OSError):
            plain.recv(8)  # SSLRequest
            plain.sendall(b"S")
            with (
                context.wrap_socket(plain, server_side=True) as near,
                socket.create_connection(("127.0.0.1", port)) as far,
            ):
                pass_on(near, far)

    with listener(serve) as front:
        yield front


def pass_on(near: ssl.SSLSocket, far: socket.socket) -> None:
    """Bytes in both directions until one side ends."""
    while True:
        readable = [near] if near.pending() else select.select([near, far], [], [])[0]
        for source, target in ((near, far), (far, near)):
            if source in readable:
                data = source.recv(65536)
                if not data:
                    return
                target.sendall(data)
