"""`handbook new page FOLDER/NAME` and `handbook new lab NN-NAME`."""

from __future__ import annotations

import click


@click.group()
def new() -> None:
    """Begin a page or a lab with a version that passes the gates."""


@new.command()
@click.argument("slug", metavar="FOLDER/NAME")
@click.option("--title", help="The first heading: a question or a claim, in Korean.")
@click.option("--lab", metavar="NN-NAME", help="The lab whose cells the page shows.")
def page(slug: str, title: str | None, lab: str | None) -> None:
    """Write docs/FOLDER/NAME.md with all parts, and put it into the navigation.

    Without --lab the parts that need one are waived; the reasons are yours to write.
    """
    from handbook.site import new_page
    from handbook.site.project import Project

    project = Project()
    for changed in new_page.create(project, slug, title, lab):
        click.echo(f"wrote {changed.relative_to(project.root)}")
    click.echo("next: write, then `handbook pages check` and `handbook serve --no-stack`", err=True)


@new.command()
@click.argument("name", metavar="NN-NAME")
@click.option("--title", help="The question of the lab, in Korean.")
@click.option(
    "--experiment",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="The number of its first experiment, which begins the cells' ids.",
)
def lab(name: str, title: str | None, experiment: int) -> None:
    """Write notebooks/NN-NAME.ipynb, which runs as it is."""
    from handbook.notebooks import new_lab
    from handbook.site.project import Project

    project = Project()
    path = new_lab.create(project, name, title, experiment)
    click.echo(f"wrote {path.relative_to(project.root)}")
    click.echo(f"next: `handbook labs regenerate {name}` runs it and stores its outputs", err=True)


COMMANDS: tuple[click.Command, ...] = (new,)
