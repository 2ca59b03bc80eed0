"""The stack as containers: `docker-compose.yml`, driven through the `docker` command.

The reader asks for it once with `handbook up --docker`; a marker in the stack's home remembers that
until `handbook down`, so that labs and tests find the same servers.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from handbook import paths
from handbook.errors import StackError, UsageError
from handbook.stack import kafka, roles, settings, state
from handbook.stack.model import Kafka, Postgres, Service, Stack
from handbook.stack.processes import Say, quiet
from handbook.stack.status import Server

FILE = paths.ROOT / "docker-compose.yml"
UP_LIMIT = 300
"""Seconds for all containers to become healthy; the first start also pulls the images."""
_ADVICE = "or use `handbook up` without --docker: it needs no containers"


def up(*, brokers: int = 1, say: Say = quiet) -> Stack:
    """Start the containers, wait until they are healthy and make the tooling role.

    Args:
        brokers: 1 or 3; each kind has data of its own.
        say: is told of each step that takes time; docker's own progress goes to stderr.

    Raises:
        UsageError: `brokers` is neither 1 nor 3.
        StackError: Docker is missing or not running, or a container does not become healthy.
    """
    if brokers not in (1, 3):
        raise UsageError(f"{brokers} brokers cannot be had", "use --brokers 1 or --brokers 3")
    check_docker()
    home = paths.stack_home()
    home.mkdir(parents=True, exist_ok=True)
    with state.locked(home / "compose.lock"):
        env = environment()
        wanted = ["postgres", *_broker_services(brokers)]
        say(f"starting the containers {', '.join(wanted)} (the first time, docker fetches images)")
        arguments = ["up", "--detach", "--wait", "--wait-timeout", str(UP_LIMIT), *wanted]
        if chosen() not in (None, brokers):
            _compose(["rm", "--stop", "--force", *_broker_services(chosen() or 1)], env)
        if _compose(arguments, env).returncode:
            raise StackError(
                "the containers did not become healthy",
                "`docker compose --env-file .stack/compose.env --profile cluster logs` says why; "
                + _ADVICE,
            )
        _make_tooling_role(env)
        _marker().write_text(json.dumps({"brokers": brokers}))
    return describe(env, brokers)


def chosen() -> int | None:
    """The number of brokers if the reader chose containers and has not stopped them since."""
    with contextlib.suppress(FileNotFoundError, ValueError, KeyError):
        return int(json.loads(_marker().read_text())["brokers"])
    return None


def connect(*, say: Say = quiet) -> Stack:
    """The containers that the reader chose, started again if they do not all answer."""
    brokers = chosen()
    assert brokers
    env = environment()
    if all(_answers(env, brokers)):
        return describe(env, brokers)
    return up(brokers=brokers, say=say)


def _answers(env: dict[str, str], brokers: int) -> Iterator[bool]:
    with socket.socket() as probe:
        probe.settimeout(1)
        yield probe.connect_ex(("127.0.0.1", int(env["POSTGRES_PORT"]))) == 0
    for service in _broker_services(brokers):
        yield len(kafka.brokers(int(env[_port_variable(service)]))) == brokers


def down() -> bool:
    """Remove the containers; the data stays in its volumes. True when there were any."""
    return chosen() is not None and _end("down")


def wipe() -> bool:
    """Remove the containers and their data. True when there were any."""
    if not _env_file().exists():
        return False
    _end("down", "--volumes")
    _env_file().unlink()
    return True


def _end(*arguments: str) -> bool:
    try:
        check_docker()
    except StackError as error:
        step = f"start Docker, or delete {_env_file()} and {_marker()} to forget the containers"
        raise StackError(error.what, step) from None
    if _compose(arguments, environment()).returncode:
        raise StackError("the containers could not be removed", "see the message of docker above")
    _marker().unlink(missing_ok=True)
    return True


def status() -> list[Server]:
    """The containers; empty when none were ever started. Docker keeps their memory to itself."""
    if not _env_file().exists():
        return []
    check_docker()
    env = environment()
    done = _compose(["ps", "--all", "--format", "json"], env, capture=True)
    # One object a line since 2.21, one list before.
    text = done.stdout.strip()
    rows = json.loads(text) if text.startswith("[") else map(json.loads, text.splitlines())
    return [_server(row, env) for row in rows]


def _server(row: dict[str, str], env: dict[str, str]) -> Server:
    healthy = (row["State"], row["Health"]) == ("running", "healthy")
    return Server(
        name=row["Service"],
        state="running" if healthy else row["Health"] or row["State"],
        running=healthy,
        port=int(env[_port_variable(row["Service"])]),
        pid=None,
        memory_mib=0,
        version=row["Image"].rpartition(":")[2],
    )


def describe(env: dict[str, str], brokers: int) -> Stack:
    """The `Stack` value of running containers."""
    ports = [env[_port_variable(service)] for service in _broker_services(brokers)]
    return Stack(
        kind="compose",
        postgres=Postgres(
            "127.0.0.1", int(env["POSTGRES_PORT"]), settings.TOOLING, env["TOOLING_PASSWORD"]
        ),
        kafka=Kafka(",".join(f"127.0.0.1:{port}" for port in ports)),
        brokers=brokers,
        faults=ContainerFaults(env, brokers),
    )


@dataclass(frozen=True)
class ContainerFaults:
    """`model.Faults` by `docker compose kill | pause | unpause | up`."""

    env: dict[str, str]
    brokers: int

    def kill(self, service: Service, *, node: int = 1) -> None:
        """SIGKILL to the container's first process, and so to all in it."""
        self._do("kill", "--signal", "SIGKILL", self._name(service, node))

    def pause(self, service: Service, *, node: int = 1) -> None:
        """Freeze the container."""
        self._do("pause", self._name(service, node))

    def resume(self, service: Service, *, node: int = 1) -> None:
        """Undo `pause`."""
        self._do("unpause", self._name(service, node))

    def start(self, service: Service, *, node: int = 1) -> None:
        """Start it again and wait until it is healthy."""
        self._do("up", "--detach", "--wait", "--no-deps", self._name(service, node))

    def _name(self, service: Service, node: int) -> str:
        return "postgres" if service == "postgres" else _broker_services(self.brokers)[node - 1]

    def _do(self, *arguments: str) -> None:
        done = _compose(arguments, self.env, capture=True)
        if done.returncode:
            raise StackError(
                f"docker compose {arguments[0]} failed: {_last_line(done.stderr)}",
                "`handbook status`, then `handbook up --docker`",
            )


def check_docker() -> None:
    """Docker, its Compose plugin and a running engine.

    Raises:
        StackError: one of them is missing; says which.
    """
    if not shutil.which("docker"):
        raise StackError("the command `docker` is not installed", f"install Docker, {_ADVICE}")
    version = _run(["docker", "compose", "version", "--short"])
    if version.returncode or version.stdout.strip().lstrip("v").startswith("1."):
        raise StackError(
            "Docker has no Compose plugin of version 2 or newer",
            f"install the package docker-compose-plugin, {_ADVICE}",
        )
    engine = _run(["docker", "version", "--format", "{{.Server.Version}}"])
    if engine.returncode:
        raise StackError(
            f"the Docker engine does not answer: {_last_line(engine.stderr)}",
            f"start Docker (and check that you may use it), {_ADVICE}",
        )


def environment() -> dict[str, str]:
    """What the Compose file interpolates, chosen once and kept in a file of mode 0600."""
    if not _env_file().exists():
        _write_environment()
    lines = _env_file().read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def _write_environment() -> None:
    home = paths.stack_home()
    ports = state.free_ports(5)
    names = ["POSTGRES_PORT", *(_port_variable(s) for s in _broker_services(1, 3))]
    values = {
        # Two checkouts must not share containers and volumes.
        "COMPOSE_PROJECT_NAME": f"msa-handbook-{secrets.token_hex(4)}",
        "POSTGRES_PASSWORD": secrets.token_urlsafe(18),
        "TOOLING_PASSWORD": secrets.token_urlsafe(18),
        **{name: str(port) for name, port in zip(names, ports, strict=True)},
    }
    part = home / "compose.env.part"
    part.unlink(missing_ok=True)
    part.touch(0o600)
    part.write_text("".join(f"{key}={value}\n" for key, value in values.items()))
    part.replace(_env_file())


def _make_tooling_role(env: dict[str, str]) -> None:
    dsn = make_conninfo(
        host="127.0.0.1",
        port=env["POSTGRES_PORT"],
        user=settings.SUPERUSER,
        password=env["POSTGRES_PASSWORD"],
        dbname="postgres",
        connect_timeout=10,
    )
    try:
        with psycopg.connect(dsn, autocommit=True) as conn:
            roles.make_tooling_role(conn, env["TOOLING_PASSWORD"])
    except psycopg.OperationalError as error:
        raise StackError(
            f"PostgreSQL in its container does not let us in: {_last_line(str(error))}",
            "`handbook wipe` and start again",
        ) from None


def _broker_services(*counts: int) -> list[str]:
    """Service names of the one broker and of the three."""
    found: list[str] = []
    for count in counts:
        found += ["kafka"] if count == 1 else [f"kafka-{n}" for n in range(1, count + 1)]
    return found


def _port_variable(service: str) -> str:
    return f"{service.upper().replace('-', '_')}_PORT"


def _compose(
    arguments: Sequence[str], env: dict[str, str], *, capture: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run `docker compose`; without `capture` its progress goes to our stderr."""
    command = ["docker", "compose", "--file", str(FILE), "--env-file", str(_env_file())]
    command += ["--profile", "cluster", *arguments]
    # The shell's variables would win over the file's.
    merged = {**os.environ, **env}
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    if not capture:
        streams = {"stdout": 2}
    return subprocess.run(
        command, env=merged, text=True, stdin=subprocess.DEVNULL, check=False, **streams
    )


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=15,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", "no answer within 15 s")


def _last_line(text: str) -> str:
    return next(
        (line.strip() for line in reversed(text.splitlines()) if line.strip()), "no message"
    )


def _env_file() -> Path:
    return paths.stack_home() / "compose.env"


def _marker() -> Path:
    return paths.stack_home() / "compose.up"
