"""`handbook labs list | run | check | regenerate` and `handbook lab NAME`."""

from __future__ import annotations

import functools
import json
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Self

import click

if TYPE_CHECKING:
    from handbook.notebooks.verify import Progress
    from handbook.stack import Stack

LabNames = tuple[str, ...]
# What is done with one lab: returns the line to print, or raises CheckFailedError.
Work = Callable[[str, "Progress"], str]

several = click.option(
    "--jobs", default=2, show_default=True, help="How many labs run side by side."
)


@click.group()
def labs() -> None:
    """Run and check the labs in notebooks/."""


@labs.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def list_(as_json: bool) -> None:
    """Every lab, its title and when it was last verified."""
    from handbook.notebooks import catalogue

    entries = catalogue.entries()
    if as_json:
        click.echo(json.dumps([vars(entry) for entry in entries], ensure_ascii=False, indent=1))
        return
    for entry in entries:
        click.echo(f"{entry.name:<28} {entry.verified or 'not verified':<13} {entry.title}")


@labs.command()
@click.argument("names", nargs=-1)
@several
def run(names: LabNames, jobs: int) -> None:
    """Run labs (all by default) with strict nbval: every stored output must come out again."""
    from handbook.notebooks import runner, store

    chosen = _chosen(names)
    _stack()

    def one(lab: str, progress: Progress) -> str:
        runner.compare(store.find(lab), functools.partial(progress, "nbval"))
        return "same outputs"

    _each(chosen, one, jobs)


@labs.command()
@click.argument("names", nargs=-1)
@click.option("--times", default=1, show_default=True, help="Repeat; all runs must pass.")
@several
def check(names: LabNames, times: int, jobs: int) -> None:
    """All gates (all labs by default): structure, strict nbval, regenerate and diff.

    What passed is written to build/labs.json, which pages show.
    """
    from handbook.notebooks import verify

    chosen = _chosen(names)
    stack = _stack()

    def one(lab: str, progress: Progress) -> str:
        return f"ok, {verify.check(lab, stack, progress)['cells']} cells"

    for turn in range(1, times + 1):
        if times > 1:
            click.echo(f"turn {turn} of {times}")
        _each(chosen, one, jobs)


@labs.command()
@click.argument("names", nargs=-1)
@several
def regenerate(names: LabNames, jobs: int) -> None:
    """Run labs (all by default) and store their outputs and recordings."""
    from handbook import paths
    from handbook.notebooks import verify

    chosen = _chosen(names)
    _stack()

    def one(lab: str, progress: Progress) -> str:
        changed = [_relative(path, paths.ROOT) for path in verify.regenerate(lab, progress)]
        return f"changed {', '.join(changed) or 'nothing'}"

    _each(chosen, one, jobs)


@click.command()
@click.argument("name")
@click.option("--no-browser", is_flag=True, help="Print the address only.")
def lab(name: str, no_browser: bool) -> None:
    """Open a lab in JupyterLab, on the running stack. Ctrl-C ends it."""
    from handbook.notebooks import jupyter, store

    path = store.find(name)
    _stack()
    jupyter.serve(path, browser=not no_browser)


def _each(chosen: list[str], work: Work, jobs: int) -> None:
    """Do the work for every lab, print a line for each as it ends, fail at the end."""
    from handbook.errors import CheckFailedError

    failed = 0
    with _Progress() as progress, ThreadPoolExecutor(max(1, jobs)) as pool:
        running = {pool.submit(_timed, work, lab, progress): lab for lab in chosen}
        try:
            for job in as_completed(running):
                progress.forget(running[job])
                try:
                    click.echo(f"{running[job]}: {job.result()}")
                except CheckFailedError as error:
                    failed += 1
                    click.echo(f"{running[job]}: FAILED\n{error}\n")
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            raise
    if failed:
        raise CheckFailedError(f"{failed} of {len(chosen)} labs failed", "read the findings above")


def _timed(work: Work, lab: str, progress: _Progress) -> str:
    begun = time.monotonic()
    result = work(lab, functools.partial(progress.show, lab))
    return f"{result}, {time.monotonic() - begun:.1f} s"


def _chosen(names: LabNames) -> list[str]:
    from handbook.errors import UsageError
    from handbook.notebooks import store

    for name in names:
        store.find(name)
    chosen = list(dict.fromkeys(names)) or store.names()
    if not chosen:
        raise UsageError("there are no labs", "add notebooks/NN-slug.ipynb")
    return chosen


def _stack() -> Stack:
    from handbook.stack import connect

    return connect(say=lambda line: click.echo(line, err=True))


def _relative(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


class _Progress:
    """One line on stderr that shows where the labs are; only on a terminal."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._where: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def show(self, lab: str, stage: str, done: int) -> None:
        """A lab has come so far."""
        with self._lock:
            self._where[lab] = f"{lab}: {stage}, cell {done}"
            self._draw()

    def forget(self, lab: str) -> None:
        """A lab has ended."""
        with self._lock:
            self._where.pop(lab, None)
            self._draw()

    def _draw(self) -> None:
        if sys.stderr.isatty():
            click.echo("\r\x1b[K" + " · ".join(self._where.values()), nl=False, err=True)

    def __exit__(self, *_: object) -> None:
        self._where.clear()
        self._draw()


COMMANDS: tuple[click.Command, ...] = (labs, lab)
