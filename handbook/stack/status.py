"""How the servers of a checkout are: found by looking at the processes, not at notes about them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from handbook.stack import kafka, postgres, processes, settings, state


def broker_folders(place: Path) -> list[Path]:
    """By name, not by state: also those of a damaged state file."""
    return [folder for folder in sorted(place.glob("kafka[0-9]*")) if folder.is_dir()]


def folders(place: Path) -> list[Path]:
    """The folders that our servers work in."""
    return [postgres.data_folder(place), *broker_folders(place)]


@dataclass(frozen=True)
class Server:
    """What `status` says of one server. `memory_mib` is its share of memory, helpers included."""

    name: str
    state: str
    running: bool
    port: int
    pid: int | None
    memory_mib: int
    version: str


def servers(place: Path, known: state.State, *, full: bool = False) -> list[Server]:
    """One scan of the system's processes; memory and version only when `full`."""
    by_folder: dict[Path, list[psutil.Process]] = {}
    for process in processes.live(*folders(place)):
        with contextlib.suppress(psutil.Error):
            by_folder.setdefault(Path(process.cwd()), []).append(process)

    def server(
        name: str, folder: Path, port: int, version: str, answers: Callable[[int], bool]
    ) -> Server:
        own = by_folder.get(folder, [])
        main = _main_process(own)
        mood = _mood(main, answers)
        return Server(
            name=name,
            state=mood,
            running=mood == "running",
            port=port,
            pid=main.pid if main else None,
            memory_mib=sum(map(_memory, own)) >> 20 if full else 0,
            version=version,
        )

    database = server(
        "postgres",
        postgres.data_folder(place),
        known.postgres_port,
        postgres.version() if full else "",
        lambda pid: postgres.initialised(place) and postgres.ready(place, pid),
    )
    brokers = [
        server(
            f"kafka{node.id}",
            kafka.folder(place, node),
            node.port,
            settings.KAFKA_VERSION,
            partial(_answers, node),
        )
        for node in known.nodes
    ]
    return [database, *brokers]


def _answers(node: state.Node, _pid: int) -> bool:
    return node.id in kafka.brokers(node.port)


def _main_process(own: list[psutil.Process]) -> psutil.Process | None:
    """The oldest: a postmaster is older than its backends."""
    return min(own, key=lambda p: (p.create_time(), p.pid), default=None)


def _mood(main: psutil.Process | None, answers: Callable[[int], bool]) -> str:
    if main is None:
        return "stopped"
    with contextlib.suppress(psutil.Error):
        if main.status() == psutil.STATUS_STOPPED:
            return "paused"
        return "running" if answers(main.pid) else "starting"
    return "stopped"


def _memory(process: psutil.Process) -> int:
    """Bytes; pages that PostgreSQL's processes share are counted once where the system can."""
    with contextlib.suppress(psutil.Error):
        facts = process.memory_full_info()
        return int(getattr(facts, "pss", facts.rss))
    return 0
