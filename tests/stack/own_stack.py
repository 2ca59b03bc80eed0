"""What the tests of the embedded stack share."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import psutil
import psycopg
from psycopg import sql
from scratch import wait_until

from handbook.stack import Stack, embedded, jars, kafka, postgres, processes, state, training

CLI = (sys.executable, "-c", "from handbook.cli import main; main()")


def trained() -> Path:
    """The jars' folder; trains the start-up cache, or waits until whoever is at it has done so."""
    jars.fetch()
    if not training.train():
        wait_until(jars.aot_cache().exists, "the start-up cache", 120)
    return jars.home()


@contextlib.contextmanager
def own_home() -> Iterator[Path]:
    """A folder that every user may enter, unlike pytest's own when root runs it."""
    folder = Path(tempfile.mkdtemp(prefix="handbook-")).resolve()
    folder.chmod(0o755)
    try:
        yield folder / "stack"
    finally:
        shutil.rmtree(folder)


def copy_of(template: Path, place: Path) -> None:
    """The same data and passwords on other ports; a second saved against a first start."""
    subprocess.run(["cp", "-a", template, place], check=True)  # with owners, and ten times faster
    (place / state.NAME).unlink()
    chosen = asdict(state.create(place, brokers=len(known(template).nodes)))
    passwords = {k: v for k, v in asdict(known(template)).items() if k.endswith("password")}
    state.write_private(place / state.NAME, chosen | passwords)


def run_cli(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """The real command line, with `env` on top of ours."""
    return subprocess.run(
        [*CLI, *arguments],
        env=os.environ | env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def start_cli(*arguments: str, **env: str) -> subprocess.Popen[str]:
    """The real command line, not waited for, in a process group of its own like in a terminal."""
    return subprocess.Popen(
        [*CLI, *arguments],
        env=os.environ | env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )


def assert_works(stack: Stack) -> None:
    """Both servers do their work: a table is written, every broker knows every broker."""
    with psycopg.connect(stack.postgres.dsn(), autocommit=True) as conn:
        assert conn.execute("SELECT current_user").fetchone() == ("handbook",)
    ports = [int(address.split(":")[1]) for address in stack.kafka.bootstrap.split(",")]
    everyone = set(range(1, stack.brokers + 1))
    assert [kafka.brokers(port) for port in ports] == [everyone] * stack.brokers


def postgres_only(place: Path) -> Stack:
    """Start PostgreSQL and leave out Kafka, which takes most of the time."""
    postgres.up(place, known(place))
    return embedded.describe(known(place))


def servers(place: Path) -> list[psutil.Process]:
    """Every process of ours that works in a folder of this stack."""
    folders = [place / "pg", *(place / f"kafka{n}" for n in (1, 2, 3))]
    return processes.live(*folders)


def known(place: Path) -> state.State:
    """The state that `up` wrote."""
    found = state.load(place)
    assert found is not None
    return found


def secrets_of(place: Path) -> tuple[str, str]:
    """The passwords of this stack."""
    return known(place).superuser_password, known(place).tooling_password


def marked(place: Path, label: str) -> None:
    """Leave a database that `marks` must see again."""
    with psycopg.connect(dsn_of(place), autocommit=True) as conn:
        conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(f"mark_{label}")))


def marks(place: Path) -> list[str]:
    """The labels left by `marked`."""
    with psycopg.connect(dsn_of(place)) as conn:
        rows = conn.execute("SELECT datname FROM pg_database WHERE datname LIKE 'mark_%'")
        return sorted(name.removeprefix("mark_") for (name,) in rows)


def dsn_of(place: Path) -> str:
    """As the tooling role."""
    return embedded.describe(known(place)).postgres.dsn()
