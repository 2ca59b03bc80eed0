"""`handbook labs list | run | check | regenerate` and `handbook lab NAME`."""

from __future__ import annotations

import click

COMMANDS: tuple[click.Command, ...] = ()
