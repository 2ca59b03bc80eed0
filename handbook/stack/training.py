"""Kafka's start-up cache: trained once for a machine, behind the reader's back.

The JVM writes such a cache (JDK 25, `AOTCache`) from what a run of it loaded. The reader's own
broker cannot be that run: writing takes seconds at its clean exit, and `kill -9` loses it. So a
throw-away broker is started once, in a process of its own that nobody waits for, at the lowest
priority. Every program that it starts dies with it; a folder that a killed training left is deleted
by the next one.

    python -m handbook.stack.training
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import sys
from pathlib import Path
from types import FrameType

from handbook import paths
from handbook.stack import jars, kafka, processes, settings, state
from handbook.stack.processes import Caller
from handbook.stack.state import Node

PR_SET_PDEATHSIG = 1


def start() -> None:
    """Begin the training in the background, unless the cache is there already."""
    if jars.aot_cache().exists():
        return
    cache = paths.cache_home()
    with contextlib.suppress(OSError):  # nothing depends on it: the next start tries again
        processes.spawn(
            [sys.executable, "-m", "handbook.stack.training"],
            folder=cache,
            log=cache / "training.log",
        )


def train() -> bool:
    """Train now. False when another training is under way or the cache is there already."""
    with state.try_locked(paths.cache_home() / "training.lock") as mine:
        if not mine:
            return False
        place = paths.cache_home().resolve() / "training"
        finished, cache = jars.aot_cache().with_suffix(".new"), jars.aot_cache()
        _clear(place)  # what a killed training left
        finished.unlink(missing_ok=True)
        if cache.exists():
            return False
        try:
            _record(place).replace(finished)
        finally:
            _clear(place)
        finished.replace(cache)  # last: once the cache exists nothing else of a training does
        return True


def _clear(place: Path) -> None:
    processes.stop([place / "kafka1"], processes.KILL, 10)
    shutil.rmtree(place, ignore_errors=True)


def _record(place: Path) -> Path:
    """Two steps, so that each JVM is our own child: record a broker, then write the cache."""
    place.mkdir(parents=True)
    recording, result = place / "recording", place / "cache"
    node = Node(1, *state.free_ports(2))
    record = ("-XX:AOTMode=record", f"-XX:AOTConfiguration={recording}")
    broker = kafka.up(place, (node,), node, aot=record, preexec_fn=_die_with_parent)
    broker.terminate()
    broker.wait(120)
    write = ("-XX:AOTMode=create", f"-XX:AOTConfiguration={recording}", f"-XX:AOTCache={result}")
    command = jars.java(kafka.MAIN, "server.properties", heap=settings.KAFKA_HEAP, aot=write)
    processes.run(
        command,
        folder=kafka.folder(place, node),
        caller=Caller(),
        what="Writing the start-up cache",
        preexec_fn=_die_with_parent,
    )
    return result


def _die_with_parent() -> None:
    """Linux: SIGKILL from the kernel when the training ends, however it ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(1)


if __name__ == "__main__":
    for asked in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(asked, _stop)
    os.nice(19)  # the lowest priority: a reader is at work
    train()
