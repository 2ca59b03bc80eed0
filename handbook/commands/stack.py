"""`handbook up | down | status | logs | wipe`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from handbook.errors import UsageError

if TYPE_CHECKING:
    from handbook.stack import Stack
    from handbook.stack.status import Server

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print facts as JSON.")
SECRETS = click.option("--show-secrets", is_flag=True, help="Print the connection string too.")


def say(line: str) -> None:
    """Progress goes to stderr, facts to stdout."""
    click.echo(line, err=True)


@click.command()
@click.option("--brokers", type=click.Choice(["1", "3"]), help="Kafka brokers of a new stack.")
@click.option("--docker", is_flag=True, help="In containers, until `handbook down`.")
@SECRETS
@AS_JSON
def up(brokers: str | None, docker: bool, show_secrets: bool, as_json: bool) -> None:
    """Start PostgreSQL and Kafka; what runs already stays as it is.

    With DATABASE_URL and KAFKA_BOOTSTRAP_SERVERS set, only try those servers.
    """
    stack = _up(int(brokers) if brokers else None, docker=docker)
    _print_stack(stack, show_secrets=show_secrets, as_json=as_json)


def _up(brokers: int | None, *, docker: bool) -> Stack:
    from handbook.stack import compose, connect, embedded, external

    if external.configured():
        if docker or brokers:
            raise UsageError(
                "DATABASE_URL names servers that are not ours to start",
                "unset DATABASE_URL and KAFKA_BOOTSTRAP_SERVERS, or leave the options out",
            )
        return connect(say=say)
    if docker or compose.chosen():
        return compose.up(brokers=brokers or compose.chosen() or 1, say=say)
    return embedded.up(brokers=brokers, say=say)


def _print_stack(stack: Stack, *, show_secrets: bool, as_json: bool) -> None:
    """Where the servers are; a password only when asked for."""
    facts: dict[str, Any] = {
        "kind": stack.kind,
        "postgres": {
            "host": stack.postgres.host,
            "port": stack.postgres.port,
            "user": stack.postgres.user,
            "database": stack.postgres.database,
        },
        "kafka": {"bootstrap": stack.kafka.bootstrap, "brokers": stack.brokers},
    }
    if show_secrets:
        facts["postgres"]["dsn"] = stack.postgres.dsn()
    if as_json:
        click.echo(json.dumps(facts, indent=1))
        return
    click.echo(
        f"PostgreSQL  {stack.postgres.host}:{stack.postgres.port}, role {stack.postgres.user}"
    )
    click.echo(f"Kafka       {stack.kafka.bootstrap}")
    if show_secrets:
        click.echo(f"DSN         {stack.postgres.dsn()}")
    else:
        click.echo(
            "`handbook up --show-secrets` prints the connection string, `handbook down` stops."
        )


@click.command()
def down() -> None:
    """Stop PostgreSQL and Kafka; their data stays."""
    from handbook.stack import compose, embedded

    contained = compose.down()
    ran = embedded.down(say=say)
    click.echo("stopped" if ran or contained else "nothing was running")


@click.command()
@AS_JSON
@click.pass_context
def status(context: click.Context, as_json: bool) -> None:
    """Show each server; exit code 0 when all run, 1 when not."""
    from handbook.stack import compose, embedded, external

    if external.configured():
        servers = external.status()
    else:
        servers = compose.status() if compose.chosen() else embedded.status()
    if as_json:
        facts = {"running": _all_run(servers), "servers": [vars(server) for server in servers]}
        click.echo(json.dumps(facts, indent=1))
    elif not servers:
        click.echo("no stack in this checkout yet: `handbook up` makes one")
    else:
        click.echo(f"{'server':<10}{'version':<9}{'state':<10}{'port':>6}{'pid':>9}{'MiB':>6}")
        for s in servers:
            click.echo(
                f"{s.name:<10}{s.version:<9}{s.state:<10}{s.port:>6}{s.pid or '-':>9}"
                f"{s.memory_mib:>6}"
            )
    context.exit(0 if _all_run(servers) else 1)


def _all_run(servers: list[Server]) -> bool:
    return bool(servers) and all(server.running for server in servers)


@click.command()
@click.argument("service", type=click.Choice(["postgres", "kafka"]), required=False)
@click.option("-n", "lines", type=click.IntRange(min=0), default=40, help="Last lines of each log.")
@click.option("-f", "--follow", is_flag=True, help="Go on printing until Ctrl-C.")
def logs(service: str | None, lines: int, follow: bool) -> None:
    """Print what the servers logged."""
    from handbook.stack import logs as module

    for name, line in module.lines(module.files(service), last=lines, follow=follow):
        click.echo(f"{name} | {line}")


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
def wipe(yes: bool) -> None:
    """Stop the servers and delete all their data, ports and passwords."""
    from handbook.stack import compose, embedded

    place = embedded.home()
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(f"This deletes {place} and every database and topic in it.", WIPE_YES)
        click.confirm(f"Delete {place} and every database and topic in it?", abort=True)
    contained = compose.wipe()  # first: the file with their names is in the folder
    wiped = embedded.wipe(say=say) or contained
    click.echo(f"deleted {place}" if wiped else "there was nothing to delete")


WIPE_YES = "`handbook wipe --yes`"
COMMANDS = (up, down, status, logs, wipe)
