"""Which runs are alive: a locked file each, freed by the kernel when its process dies.

A run owns everything whose name holds its id. The file of a dead run stays behind unlocked, and
tells the next run of this checkout what to sweep.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from handbook import paths
from handbook.stack import Stack


@dataclass(frozen=True)
class Run:
    """One locked file; `servers` says where its leftovers would be."""

    id: str
    servers: list[str]
    path: Path
    _file: IO[str]

    def end(self) -> None:
        """Nothing is left: forget the run."""
        self.path.unlink(missing_ok=True)
        self._file.close()

    def release(self) -> None:
        """Something is left: the next run of this checkout finds the file and sweeps."""
        self._file.close()


def folder() -> Path:
    """The files of all runs of this checkout."""
    return paths.stack_home() / "runs"


def servers(stack: Stack) -> list[str]:
    """What tells one stack from another; holds no secret."""
    return [f"{stack.postgres.host}:{stack.postgres.port}", stack.kafka.bootstrap]


def begin(stack: Stack) -> Run:
    """A new run, alive until `end` or until this process dies."""
    folder().mkdir(parents=True, exist_ok=True)
    while True:
        run_id = secrets.token_hex(4)
        path = folder() / f"{run_id}.lock"
        file = path.open("x+", encoding="utf-8")
        fcntl.flock(file, fcntl.LOCK_EX)
        if _is(path, file):  # else a sweep took the still unlocked file for a dead run's
            json.dump(servers(stack), file)
            file.flush()
            return Run(run_id, servers(stack), path, file)
        file.close()


def dead(stack: Stack) -> Generator[Run, None, None]:
    """Runs on this stack whose process is gone, each locked by us while it is looked at."""
    for path in sorted(folder().glob("*.lock")):
        with contextlib.suppress(FileNotFoundError):
            file = path.open("r+", encoding="utf-8")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                continue
            try:
                known = _servers_in(file)
                if _is(path, file) and known in ([], servers(stack)):
                    yield Run(path.stem, known, path, file)
            finally:
                file.close()


def _servers_in(file: IO[str]) -> list[str]:
    with contextlib.suppress(ValueError):
        return [str(server) for server in json.load(file)]
    return []  # killed before it wrote: it made nothing


def _is(path: Path, file: IO[str]) -> bool:
    """True when `path` still names the opened file."""
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_ino == os.fstat(file.fileno()).st_ino
    return False
