"""`handbook labs list | run | check | regenerate` and `handbook lab NAME`."""

from __future__ import annotations

import functools
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import click

if TYPE_CHECKING:
    from handbook.stack import Stack

LabNames = tuple[str, ...]


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
def run(names: LabNames) -> None:
    """Run labs (all by default) with strict nbval: every stored output must come out again."""
    from handbook.notebooks import runner, store

    chosen = _chosen(names)
    _stack()
    for lab in chosen:
        begun = time.monotonic()
        with _Progress(lab) as progress:
            runner.compare(store.load(lab).path, functools.partial(progress, "nbval"))
        click.echo(f"{lab}: same outputs, {time.monotonic() - begun:.1f} s")


@labs.command()
@click.argument("names", nargs=-1)
@click.option("--times", default=1, show_default=True, help="Repeat; all runs must pass.")
def check(names: LabNames, times: int) -> None:
    """All gates (all labs by default): structure, strict nbval, regenerate and diff.

    What passed is written to build/labs.json, which pages show.
    """
    from handbook.errors import CheckFailedError
    from handbook.notebooks import verify

    chosen = _chosen(names)
    stack = _stack()
    failures = []
    for turn in range(1, times + 1):
        for lab in chosen:
            begun = time.monotonic()
            again = f" ({turn}/{times})" if times > 1 else ""
            try:
                with _Progress(lab) as progress:
                    entry = verify.check(lab, stack, progress)
            except CheckFailedError as error:
                failures.append(lab)
                click.echo(f"{lab}: FAILED{again}\n{error}\n")
            else:
                took = time.monotonic() - begun
                click.echo(f"{lab}: ok{again}, {entry['cells']} cells, {took:.1f} s")
    if failures:
        raise CheckFailedError(
            f"{len(failures)} of {len(chosen) * times} checks failed", "read the findings above"
        )


@labs.command()
@click.argument("names", nargs=-1)
def regenerate(names: LabNames) -> None:
    """Run labs (all by default) and store their outputs and traces."""
    from handbook import paths
    from handbook.notebooks import verify

    chosen = _chosen(names)
    _stack()
    for lab in chosen:
        with _Progress(lab) as progress:
            changed = verify.regenerate(lab, progress)
        shown = ", ".join(_relative(path, paths.ROOT) for path in changed) or "nothing"
        click.echo(f"{lab}: changed {shown}")


@click.command()
@click.argument("name")
@click.option("--no-browser", is_flag=True, help="Print the address only.")
def lab(name: str, no_browser: bool) -> None:
    """Open a lab in JupyterLab, on the running stack. Ctrl-C ends it."""
    from handbook.notebooks import jupyter, store

    path = store.load(name).path
    _stack()
    jupyter.serve(path, browser=not no_browser)


def _chosen(names: LabNames) -> list[str]:
    from handbook.errors import UsageError
    from handbook.notebooks import store

    for name in names:
        store.load(name)
    chosen = list(names) or store.names()
    if not chosen:
        raise UsageError("there are no labs", "add notebooks/NN-slug.ipynb")
    return chosen


def _stack() -> Stack:
    from handbook.stack import connect

    return connect()


def _relative(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


class _Progress:
    """One line on stderr that shows where a lab is; only on a terminal."""

    def __init__(self, lab: str) -> None:
        self._lab = lab
        self._shown = sys.stderr.isatty()

    def __enter__(self) -> Self:
        return self

    def __call__(self, stage: str, done: int) -> None:
        if self._shown:
            click.echo(f"\r\x1b[K{self._lab}: {stage}, {done} cells", nl=False, err=True)

    def __exit__(self, *_: object) -> None:
        if self._shown:
            click.echo("\r\x1b[K", nl=False, err=True)


COMMANDS: tuple[click.Command, ...] = (labs, lab)
