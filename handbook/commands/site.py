"""`handbook build | serve | coverage`."""

from __future__ import annotations

import click

COMMANDS: tuple[click.Command, ...] = ()
