"""What the servers of a stack are, by their own account."""

from __future__ import annotations

from handbook.lab.database import tooling
from handbook.stack import Stack, compose, settings


def postgres(stack: Stack) -> str:
    """What the server itself says, such as 18.4."""
    with tooling(stack.postgres) as conn:
        row = conn.execute("SHOW server_version").fetchone()
    assert row is not None
    return str(row[0]).split()[0]


def kafka(stack: Stack) -> str:
    """The version of the jars or of the image that runs; other people's brokers do not tell."""
    if stack.kind == "embedded":
        return settings.KAFKA_VERSION
    if stack.kind == "compose":
        return next(s.version for s in compose.status() if s.name.startswith("kafka"))
    return "unknown"
