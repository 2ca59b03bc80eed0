"""`handbook doctor`."""

from __future__ import annotations

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(as_json: bool) -> None:
    """Check what the stack needs of this machine; says what to do for each failing line.

    Exits with 3 when a required line fails. Lines marked `info` never fail.
    """
    import json
    from dataclasses import asdict

    from handbook.stack.doctor import examine

    lines = examine()
    if as_json:
        click.echo(json.dumps([asdict(line) for line in lines], indent=1))
    else:
        for line in lines:
            click.echo(f"{line.state:4}  {line.name:12}{_printable(line.text)}")
            if line.next_step:
                click.echo(f"{'':18}next: {_printable(line.next_step)}")
    if any(line.state == "fail" for line in lines):
        raise SystemExit(3)


def _printable(text: str) -> str:
    """A terminal without UTF-8 is one of the findings; it must not stop us from saying so."""
    return text.encode("ascii", "backslashreplace").decode() if _ascii_only() else text


def _ascii_only() -> bool:
    import sys

    return (sys.stdout.encoding or "ascii").lower().replace("-", "") != "utf8"


COMMANDS = (doctor,)
