"""`handbook build | serve | coverage` and `handbook pages check`."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from handbook.site.coverage import Checked


@click.command()
@click.option("--strict/--no-strict", default=True, help="Treat warnings as errors (default).")
@click.option("--strict-assets", is_flag=True, help="Fail without the site's own fonts (CI does).")
def build(strict: bool, strict_assets: bool) -> None:
    """Build the site into site/ and check its links; a failing build leaves the old site."""
    from handbook.site import assets
    from handbook.site import build as builder
    from handbook.site.project import Project

    if strict_assets:
        assets.require()
    built = builder.build(Project(), strict=strict)
    click.echo(f"{built.pages} pages in {built.seconds:.1f} s")


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), help="Default: 8000 or the next free one.")
@click.option("--no-stack", is_flag=True, help="Only read; do not start PostgreSQL and Kafka.")
@click.option("--watch", is_flag=True, help="Build again whenever a source changes.")
@click.option("--open", "open_browser", is_flag=True, help="Open the page in the browser.")
def serve(port: int | None, no_stack: bool, watch: bool, open_browser: bool) -> None:
    """Build what is stale, start the stack, and serve the site on 127.0.0.1."""
    from handbook.site.project import Project
    from handbook.site.serve import serve as run

    run(
        Project(),
        port=port,
        with_stack=not no_stack,
        watch=watch,
        open_browser=open_browser,
        say=partial(click.echo, err=True),
        show=click.echo,
    )


@click.command()
@click.option("--require", metavar="ROWS", help="Rows that must be complete: R27,R28-R30 or all.")
@click.option("--json", "as_json", is_flag=True, help="Print facts for programs.")
def coverage(require: str | None, as_json: bool) -> None:
    """Show what each row of docs/coverage.yml has and lacks."""
    from handbook.errors import CheckFailedError
    from handbook.site import coverage as checks
    from handbook.site.project import Project

    rows = checks.check(Project())
    required = checks.select(rows, require) if require is not None else []
    click.echo(_json(rows) if as_json else _table(rows))
    if lacking := [row for row in required if row.missing]:
        raise CheckFailedError(
            f"{len(lacking)} of {len(required)} required rows are not complete\n"
            + "\n".join(map(_lacks, lacking)),
            "add what is missing; docs/coverage.yml says what each row needs",
        )


def _json(rows: list[Checked]) -> str:
    facts = [{**asdict(row), "complete": not row.missing} for row in rows]
    return json.dumps(facts, ensure_ascii=False, indent=1)


def _table(rows: list[Checked]) -> str:
    lines = []
    for row in rows:
        kinds = ", ".join(dict.fromkeys(missing.kind for missing in row.missing))
        state = f"--  lacks {kinds}" if kinds else "ok"
        lines.append(f"{row.row.id}  {state:<34}{row.row.title}")
    complete = sum(not row.missing for row in rows)
    return "\n".join([*lines, f"{complete} of {len(rows)} rows complete"])


def _lacks(row: Checked) -> str:
    listed = "\n".join(f"    {missing.kind}: {missing.what}" for missing in row.missing)
    return f"  {row.row.id} {row.row.title}\n{listed}"


@click.group()
def pages() -> None:
    """Check the pages' sources."""


@pages.command("check")
@click.option("--json", "as_json", is_flag=True, help="Print facts for programs.")
def check(as_json: bool) -> None:
    """Check form, prose, embeds, quotes, typed code and forgotten proofs, without building."""
    from handbook.site import build as builder
    from handbook.site import prose
    from handbook.site.problems import refuse
    from handbook.site.project import Project

    project = Project()
    problems = builder.page_problems(project)
    if as_json:
        click.echo(json.dumps([asdict(problem) for problem in problems], ensure_ascii=False))
    for hint in prose.volumes(project):
        click.echo(f"hint: {hint}", err=True)
    refuse(problems, "the pages")
    click.echo(f"{len(project.pages())} pages are in order", err=as_json)


COMMANDS: tuple[click.Command, ...] = (build, serve, coverage, pages)
