"""Servers that somebody else runs, named by environment variables; TLS and SASL included.

Both are tried before they are used (`probe.py`), and no message holds a password.

| variable | meaning |
|---|---|
| `DATABASE_URL` | `postgresql://user:password@host:port/database?sslmode=…&sslrootcert=…` |
| `KAFKA_BOOTSTRAP_SERVERS` | `host:port,host:port` |
| `KAFKA_SECURITY_PROTOCOL` | `PLAINTEXT` (default), `SSL`, `SASL_PLAINTEXT` or `SASL_SSL` |
| `KAFKA_SASL_MECHANISM` | `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512` |
| `KAFKA_SASL_USERNAME`, `KAFKA_SASL_PASSWORD` | the account |
| `KAFKA_SSL_CA` | PEM file of the authority that signed the brokers; without it the system's |
| `KAFKA_SSL_CERT`, `KAFKA_SSL_KEY` | PEM files of a client certificate |
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from handbook.errors import StackError, UsageError
from handbook.stack import probe
from handbook.stack.model import Kafka, Postgres, Stack
from handbook.stack.status import Server

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


def configured(env: Mapping[str, str] = os.environ) -> bool:
    """True when the environment names servers.

    Raises:
        UsageError: it names only one of the two.
    """
    both = ("DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS")
    missing = [name for name in both if not env.get(name)]
    if len(missing) == 1:
        present = next(name for name in both if name not in missing)
        raise UsageError(
            f"{present} is set but {missing[0]} is not",
            f"set {missing[0]} too, or unset {present} to use the embedded servers",
        )
    return not missing


def connect(env: Mapping[str, str] = os.environ) -> Stack:
    """The stack that the environment names, tried.

    Raises:
        UsageError: a variable is malformed or contradicts another.
        StackError: a server does not answer, refuses us or cannot do what the labs need.
    """
    postgres, kafka = postgres_settings(env), kafka_settings(env)
    probe.postgres(postgres)
    return Stack(kind="external", postgres=postgres, kafka=kafka, brokers=probe.kafka(kafka))


def status(env: Mapping[str, str] = os.environ) -> list[Server]:
    """The servers that the environment names, tried; the state of a bad one says what is wrong.

    Raises:
        UsageError: a variable is malformed or contradicts another.
    """
    database, cluster = postgres_settings(env), kafka_settings(env)
    first = cluster.bootstrap.split(",")[0]
    return [
        _tried("postgres", database.port, lambda: probe.postgres(database)),
        _tried("kafka", int(first.rpartition(":")[2]), lambda: probe.kafka(cluster)),
    ]


def _tried(name: str, port: int, ask: Callable[[], object]) -> Server:
    state = "running"
    try:
        ask()
    except StackError as error:
        state = error.what
    return Server(name, state, state == "running", port, pid=None, memory_mib=0, version="")


def postgres_settings(env: Mapping[str, str] = os.environ) -> Postgres:
    """`DATABASE_URL`, parsed; every libpq parameter in it is kept."""
    url = env["DATABASE_URL"]
    # libpq's own parser would take `jdbc:…` or `postgresql+driver://…` for a list of key=value.
    if not url.startswith(("postgresql://", "postgres://")):
        raise _malformed()
    try:
        parts = conninfo_to_dict(url)
        port = int(parts.pop("port", None) or 5432)
    except (psycopg.ProgrammingError, ValueError):
        raise _malformed() from None  # the parser's message would repeat the URL
    host = str(parts.pop("host", None) or parts.get("hostaddr") or "")
    user = str(parts.pop("user", None) or "")
    if not host or not user or "," in host:
        raise _malformed()
    return Postgres(
        host=host,
        port=port,
        user=user,
        password=str(parts.pop("password", None) or ""),
        database=str(parts.pop("dbname", None) or user),
        options={key: str(value) for key, value in parts.items()},
    )


def kafka_settings(env: Mapping[str, str] = os.environ) -> Kafka:
    """`KAFKA_*`, parsed; `security` holds aiokafka's keyword arguments."""
    protocol = env.get("KAFKA_SECURITY_PROTOCOL") or "PLAINTEXT"
    if protocol not in PROTOCOLS:
        raise UsageError(
            "KAFKA_SECURITY_PROTOCOL is not a protocol of Kafka", f"use one of {PROTOCOLS}"
        )
    servers = [part.strip() for part in env["KAFKA_BOOTSTRAP_SERVERS"].split(",") if part.strip()]
    for server in servers or [""]:
        host, _, port = server.rpartition(":")
        if not host or not port.isdecimal():
            raise UsageError(
                f"KAFKA_BOOTSTRAP_SERVERS holds {server!r}, which is not host:port",
                "write it as host:port,host:port",
            )
    _refuse_unused(env, protocol)
    security: dict[str, Any] = {"security_protocol": protocol}
    if "SSL" in protocol.split("_"):
        security["ssl_context"] = _ssl_context(env)
    if protocol.startswith("SASL_"):
        security |= _sasl(env)
    return Kafka(",".join(servers), security if protocol != "PLAINTEXT" else {})


def _refuse_unused(env: Mapping[str, str], protocol: str) -> None:
    """A password that would silently not be used is a mistake worth a word."""
    for kind, fits in (("SASL", protocol.startswith("SASL_")), ("SSL", protocol.endswith("SSL"))):
        unused = sorted(name for name in env if name.startswith(f"KAFKA_{kind}_") and env[name])
        if unused and not fits:
            raise UsageError(
                f"{unused[0]} is set but KAFKA_SECURITY_PROTOCOL is {protocol}",
                f"set KAFKA_SECURITY_PROTOCOL to one with {kind}, or unset {unused[0]}",
            )


def _ssl_context(env: Mapping[str, str]) -> ssl.SSLContext:
    names = ("KAFKA_SSL_CA", "KAFKA_SSL_CERT", "KAFKA_SSL_KEY")
    ca, cert, key = (env.get(name) or None for name in names)
    if key and not cert:
        raise UsageError(
            "KAFKA_SSL_KEY is set but KAFKA_SSL_CERT is not", "set both to PEM files, or neither"
        )
    try:
        context = ssl.create_default_context(cafile=ca)
        if cert:
            context.load_cert_chain(cert, key, password=_no_passphrase)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        given = ", ".join(f"{name}={env[name]}" for name in names if env.get(name))
        raise UsageError(
            f"the certificates cannot be read ({given}): {error}",
            "check that each path names a readable PEM file and that the key fits the certificate",
        ) from None
    return context


def _no_passphrase() -> str:
    """OpenSSL would otherwise ask on the terminal and wait."""
    raise ValueError("the key is encrypted; an unencrypted key is needed")


def _sasl(env: Mapping[str, str]) -> dict[str, Any]:
    mechanism = env.get("KAFKA_SASL_MECHANISM") or "PLAIN"
    if mechanism not in MECHANISMS:
        raise UsageError(f"KAFKA_SASL_MECHANISM is not supported: {mechanism}", f"use {MECHANISMS}")
    for name in ("KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"):
        if not env.get(name):
            raise UsageError(
                f"KAFKA_SECURITY_PROTOCOL asks for SASL but {name} is not set", f"set {name}"
            )
    return {
        "sasl_mechanism": mechanism,
        "sasl_plain_username": env["KAFKA_SASL_USERNAME"],
        "sasl_plain_password": env["KAFKA_SASL_PASSWORD"],
    }


def _malformed() -> UsageError:
    return UsageError(
        "DATABASE_URL is not a PostgreSQL address",  # never repeated: it holds a password
        "write it as postgresql://user:password@host:port/database",
    )
