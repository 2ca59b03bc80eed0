"""The `handbook` command: collects the command groups and turns errors into exit codes."""

from __future__ import annotations

import sys

import click

from handbook.commands import doctor, exercise, labs, new, site, stack
from handbook.errors import HandbookError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-v", "--verbose", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="msa-handbook")
@click.pass_context
def cli(context: click.Context, verbose: bool) -> None:
    """Run the handbook's stack, labs, gates and site.

    Exit codes: 0 done, 1 a check failed, 2 the request was wrong, 3 the machine is not ready.
    """
    context.obj = {"verbose": verbose}


for group in (stack, doctor, labs, exercise, site, new):
    for command in group.COMMANDS:
        cli.add_command(command)


def main() -> None:
    """Entry point: an error becomes one message on stderr and its exit code."""
    try:
        cli(standalone_mode=True)
    except HandbookError as error:
        if "-v" in sys.argv[1:] or "--verbose" in sys.argv[1:]:
            raise
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
