"""What the embedded servers logged, last lines first read, then followed."""

from __future__ import annotations

import contextlib
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


def lines(chosen: dict[str, Path], *, last: int, follow: bool = False) -> Iterator[tuple[str, str]]:
    """The `last` lines of each log with its server's name; to `follow`, all later ones too."""
    with contextlib.ExitStack() as stack:
        opened = {
            name: stack.enter_context(path.open(errors="replace")) for name, path in chosen.items()
        }
        for name, file in opened.items():
            for line in deque(file, maxlen=last):
                yield name, line.rstrip("\n")
        while follow:
            found = [(name, line) for name, file in opened.items() for line in file]
            for name, line in found:
                yield name, line.rstrip("\n")
            if not found:
                time.sleep(POLL)
