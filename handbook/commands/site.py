"""`handbook build | serve | coverage | pages check`."""

from __future__ import annotations

import click


@click.command()
@click.option("--strict/--no-strict", default=True, help="Treat warnings as errors (default).")
def build(strict: bool) -> None:
    """Build the site into site/ and check its links; a failing build leaves the old site."""
    from handbook.site import build as builder
    from handbook.site.project import Project

    built = builder.build(Project(), strict=strict)
    click.echo(f"{built.pages} pages in {built.seconds:.1f} s")


COMMANDS: tuple[click.Command, ...] = (build,)
