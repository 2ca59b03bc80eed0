"""`handbook up | down | status | logs | doctor | wipe`."""

from __future__ import annotations

import click


@click.command()
def up() -> None:
    """Start PostgreSQL and Kafka."""
    from handbook.stack import connect

    stack = connect()
    click.echo(f"PostgreSQL {stack.postgres.host}:{stack.postgres.port}")
    click.echo(f"Kafka {stack.kafka.bootstrap}")


@click.command()
def down() -> None:
    """Stop PostgreSQL and Kafka."""
    from handbook.stack import embedded

    embedded.down()


COMMANDS = (up, down)
