"""What the embedded servers logged, last lines first read, then followed."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from handbook.errors import StackError
from handbook.stack import embedded

POLL = 0.2  # seconds between two looks at a file that is followed


def files(service: str | None = None) -> dict[str, Path]:
    """The log of each server, by its name; `service` keeps postgres or kafka.

    Raises:
        StackError: nothing has been started here yet.
    """
    found = {path.stem: path for path in sorted(embedded.home().glob("*.log"))}
    chosen = {name: path for name, path in found.items() if name.startswith(service or "")}
    if not chosen:
        raise StackError("There is no log: nothing was started here yet.", "run `handbook up`")
    return chosen


def last_lines(chosen: dict[str, Path], count: int) -> Iterator[tuple[str, str]]:
    """The last `count` lines of each log, each with its server's name."""
    for name, path in chosen.items():
        with path.open(errors="replace") as file:
            for line in deque(file, maxlen=count):
                yield name, line.rstrip("\n")


def follow(chosen: dict[str, Path]) -> Iterator[tuple[str, str]]:
    """Each line from now on, for ever."""
    opened = {name: path.open(errors="replace") for name, path in chosen.items()}
    for file in opened.values():
        file.seek(0, 2)
    while True:
        found = [(name, line) for name, file in opened.items() for line in file]
        for name, line in found:
            yield name, line.rstrip("\n")
        if not found:
            time.sleep(POLL)
