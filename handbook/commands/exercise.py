"""`handbook exercise list | check | reset`."""

from __future__ import annotations

import json

import click


@click.group()
def exercise() -> None:
    """Solve the tasks at the end of the labs."""


@exercise.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def list_(as_json: bool) -> None:
    """Every exercise, and whether its cell is as it was published."""
    from handbook.notebooks import exercises, store

    found = [one for lab in store.names() for one in exercises.of_lab(lab)]
    if as_json:
        click.echo(json.dumps([vars(one) for one in found], ensure_ascii=False, indent=1))
        return
    for one in found:
        click.echo(f"{one.lab:<28} {one.cell:<28} {'' if one.untouched else 'edited'}".rstrip())


@exercise.command()
@click.argument("name", metavar="NN-NAME")
def check(name: str) -> None:
    """Run the lab as you have edited it; exit code 1 while an exercise is unsolved.

    The file in notebooks/ counts, not what was typed into the page; it is not changed.
    """
    from handbook.errors import CheckFailedError
    from handbook.notebooks import exercises
    from handbook.stack import connect

    connect(say=lambda line: click.echo(line, err=True))
    results = exercises.solved(name)
    for cell, solved in results.items():
        click.echo(f"{cell:<28} {'solved' if solved else 'not solved'}")
    if not all(results.values()):
        raise CheckFailedError(
            f"{list(results.values()).count(False)} of {len(results)} exercises are not solved",
            f"`handbook lab {name}` opens the lab; its hints are folded below the task",
        )


@exercise.command()
@click.argument("name", metavar="NN-NAME")
def reset(name: str) -> None:
    """Put the published code back into the exercises of a lab."""
    from handbook.notebooks import exercises

    for cell in exercises.reset(name):
        click.echo(f"reset {cell}")
    click.echo(f"next: `handbook labs regenerate {name}` stores the outputs again", err=True)


COMMANDS: tuple[click.Command, ...] = (exercise,)
