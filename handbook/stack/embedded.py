"""The embedded stack of one checkout: real servers from packages, no container, no root needed."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from handbook import paths
from handbook.stack import jars, kafka, postgres, processes, state
from handbook.stack.model import Kafka, Postgres, Stack


def up(*, brokers: int = 1) -> Stack:
    """Start what is not running; a second call finds it running."""
    home = paths.stack_home()
    home.mkdir(parents=True, exist_ok=True)
    with state.locked(home / "lock"):
        known = state.load(home) or state.create(home, brokers=brokers)
        jars.fetch()
        with ThreadPoolExecutor() as pool:  # both at once: the slower one is the price
            jobs = [
                pool.submit(
                    postgres.up,
                    home,
                    port=known.postgres_port,
                    superuser_password=known.superuser_password,
                    tooling_password=known.tooling_password,
                ),
                *(pool.submit(kafka.up, home, known.nodes, node) for node in known.nodes),
            ]
        for job in jobs:
            job.result()
    return describe(known)


def describe(known: state.State) -> Stack:
    """The `Stack` value of a state."""
    return Stack(
        kind="embedded",
        postgres=Postgres(
            "127.0.0.1", known.postgres_port, postgres.TOOLING, known.tooling_password
        ),
        kafka=Kafka(",".join(f"127.0.0.1:{node.port}" for node in known.nodes)),
        brokers=len(known.nodes),
    )


def down() -> None:
    """Stop both servers cleanly; what does not end in time is killed."""
    home = paths.stack_home()
    with state.locked(home / "lock"):
        pg, brokers = home / "pg", broker_folders(home)
        if processes.live(pg):
            with contextlib.suppress(OSError, ValueError, IndexError):
                pid = int((pg / "postmaster.pid").read_text().split()[0])
                os.kill(pid, signal.SIGINT)  # the postmaster alone: fast shutdown
        # The last of three brokers waits for a quorum that is gone: do not wait with it.
        limit = 10 if len(brokers) == 1 else 4
        if not processes.stop(brokers, signal.SIGTERM, limit):
            processes.stop(brokers, signal.SIGKILL, 5)
        if not processes.stop([pg], None, 10):
            processes.stop([pg], signal.SIGKILL, 5)


def wipe() -> None:
    """Stop and delete everything the stack of this checkout holds."""
    down()
    shutil.rmtree(paths.stack_home(), ignore_errors=True)


def broker_folders(home: Path) -> list[Path]:
    """The folders of the brokers that `home` knows."""
    known = state.load(home)
    return [home / f"kafka{node.id}" for node in known.nodes] if known else []
