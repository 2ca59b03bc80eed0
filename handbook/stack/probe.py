"""Try servers that we do not own: one clear message within seconds instead of a lab that hangs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from uuid import uuid4

import psycopg

from handbook.errors import StackError
from handbook.stack.model import Kafka, Postgres

DEADLINE = 6.0
"""Seconds for each server."""
POSTGRES_MINIMUM = 18
_REQUEST_TIMED_OUT, _NOT_CONTROLLER = 7, 41
_CONTROLLER = "look at the controllers' logs: a quorum of them must run and know this broker"
T = TypeVar("T")


def postgres(server: Postgres) -> None:
    """Log in and ask for what the labs need: the version, CREATEDB and CREATEROLE.

    Raises:
        StackError: no answer, refused, too old, or a role that may too little.
    """
    where = f"PostgreSQL at {server.host}:{server.port}"
    _probe("PostgreSQL", server.options.get("hostaddr") or server.host, server.port)

    def ask() -> tuple[int, bool, bool]:
        dsn = server.dsn()
        with psycopg.connect(dsn, autocommit=True, connect_timeout=int(DEADLINE)) as conn:
            row = conn.execute(
                "SELECT rolsuper OR rolcreatedb, rolsuper OR rolcreaterole"
                " FROM pg_roles WHERE rolname = current_user"
            ).fetchone()
            assert row is not None
            return conn.info.server_version // 10000, row[0], row[1]

    try:
        version, may_create_databases, may_create_roles = _within(DEADLINE, ask)
    except (TimeoutError, psycopg.errors.ConnectionTimeout):
        raise _silent(where, "DATABASE_URL") from None
    except psycopg.Error as error:
        raise StackError(
            f"{where} refused user {server.user!r}: {_hidden(str(error), server.password)}",
            "check user, password, database and sslmode in DATABASE_URL",
        ) from None
    if version < POSTGRES_MINIMUM:
        raise StackError(
            f"{where} is version {version}; the handbook needs {POSTGRES_MINIMUM} or newer",
            "name a newer server in DATABASE_URL, or unset it to use the embedded one",
        )
    rights = {"CREATEDB": may_create_databases, "CREATEROLE": may_create_roles}
    lacking = " ".join(right for right, has in rights.items() if not has)
    if lacking:
        raise StackError(
            f"{where}: role {server.user!r} lacks {lacking}; each lab makes a database and roles",
            f'as a superuser: ALTER ROLE "{server.user}" {lacking}',
        )


def kafka(server: Kafka) -> int:
    """Ask for the brokers, then have the controller check (not create) a topic.

    Returns:
        The number of brokers.

    Raises:
        StackError: no answer, refused, no broker, an address that leads nowhere, or no controller.
    """
    # Before the clock starts: on a busy machine the import alone can take seconds.
    import aiokafka.conn  # noqa: F401

    address = _first_reachable("Kafka", server.bootstrap.split(","))
    where = f"Kafka at {address[0]}:{address[1]}"
    try:
        # A thread and loop of our own: a notebook's loop is already running.
        with _quiet("aiokafka"):
            return _within(DEADLINE, lambda: asyncio.run(_ask_kafka(server, address, where)))
    except TimeoutError:
        raise _silent(where, "KAFKA_BOOTSTRAP_SERVERS and KAFKA_SECURITY_PROTOCOL") from None


async def _ask_kafka(server: Kafka, address: tuple[str, int], where: str) -> int:
    # One plain connection: the client classes hide why a login failed and retry for ever.
    from aiokafka.conn import AIOKafkaConnection
    from aiokafka.errors import KafkaError

    limit = int(1000 * DEADLINE)
    conn = AIOKafkaConnection(*address, request_timeout_ms=limit, **server.security)
    try:
        await conn.connect()
        return await _ask_brokers(conn, where)
    except (KafkaError, ssl.SSLError, ConnectionError) as error:
        raise _refused(where, error) from None
    finally:
        with contextlib.suppress(TimeoutError):  # what never opened never reports its end
            async with asyncio.timeout(0.3):
                await conn.close()


async def _ask_brokers(conn: Any, where: str) -> int:
    from aiokafka.protocol.metadata import MetadataRequest

    brokers = [tuple(row)[1:3] for row in (await conn.send(MetadataRequest([]))).brokers]
    if not brokers:
        raise StackError(f"{where} answers but knows no broker", _CONTROLLER)
    await asyncio.gather(*(_advertised(where, *broker) for broker in brokers))
    await _ask_controller(conn, where)
    return len(brokers)


async def _advertised(where: str, host: str, port: int) -> None:
    """Clients go where the brokers say, not where we asked."""
    try:
        async with asyncio.timeout(DEADLINE / 4):
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
            await writer.wait_closed()
    except OSError:  # TimeoutError and gaierror are OSErrors
        raise StackError(
            f"{where} sends its clients to {host}:{port}, which cannot be reached from here",
            "set the broker's advertised.listeners to an address this machine can reach",
        ) from None


async def _ask_controller(conn: Any, where: str) -> None:
    """A broker alone answers from memory; checking a topic needs the controller behind it."""
    from aiokafka.errors import for_code
    from aiokafka.protocol.admin import CreateTopicsRequest

    limit = DEADLINE / 2
    topic: Any = (f"handbook-probe-{uuid4().hex}", 1, 1, [], [])
    request = CreateTopicsRequest(
        create_topic_requests=[topic],
        timeout=int(500 * limit),
        validate_only=True,
    )
    try:
        async with asyncio.timeout(limit):
            code: int = (await conn.send(request)).topic_errors[0][1]
    except TimeoutError:
        code = _REQUEST_TIMED_OUT
    if code in (_REQUEST_TIMED_OUT, _NOT_CONTROLLER):
        raise StackError(f"{where} answers but has no controller behind it", _CONTROLLER)
    if code:
        raise StackError(
            f"{where} would not create a topic for us: {for_code(code).__name__}",
            "give the account the rights to create, delete, read and write topics",
        )


def _refused(where: str, error: Exception) -> StackError:
    """Which of the usual three it was, by class: address and protocol, certificate, account."""
    from aiokafka import errors

    account = (
        errors.AuthenticationFailedError,
        errors.SaslAuthenticationFailed,
        errors.UnsupportedSaslMechanismError,
    )
    if isinstance(error, ssl.SSLCertVerificationError):
        what, step = f"shows a certificate we do not trust: {error.verify_message}", "KAFKA_SSL_CA"
    elif isinstance(error, account):
        what, step = f"refused the account ({type(error).__name__})", "KAFKA_SASL_*"
    else:
        what, step = f"broke the connection off ({type(error).__name__})", "KAFKA_SECURITY_PROTOCOL"
    return StackError(f"{where} {what}", f"check {step} and the port in KAFKA_BOOTSTRAP_SERVERS")


def _probe(what: str, host: str, port: int, limit: float = DEADLINE / 2) -> None:
    """A plain TCP connection first: tells "nobody listens" from "refused us"."""
    try:
        _within(limit, lambda: socket.create_connection((host, port), limit).close())
    except OSError as error:  # TimeoutError and gaierror are OSErrors
        reason = "no answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
        raise StackError(
            f"{what} cannot be reached at {host}:{port}: {reason}",
            "check the address and that the server runs",
        ) from None


def _first_reachable(what: str, servers: list[str]) -> tuple[str, int]:
    """One reachable bootstrap server is enough."""
    failure: StackError | None = None
    for server in servers:
        host, _, port = server.rpartition(":")
        try:
            _probe(what, host.strip("[]"), int(port), DEADLINE / 2 / len(servers))
        except StackError as error:
            failure = failure or error
        else:
            return host.strip("[]"), int(port)
    assert failure is not None
    raise failure


def _within(seconds: float, work: Callable[[], T]) -> T:
    """Run blocking `work` for at most `seconds`; name look-ups and TLS have no limit of their own.

    Raises:
        TimeoutError: it did not end; its daemon thread is left behind.
    """
    box: list[T | BaseException] = []

    def run() -> None:
        try:
            box.append(work())
        except BaseException as error:
            box.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not box:
        raise TimeoutError
    if isinstance(box[0], BaseException):
        raise box[0]
    return box[0]


@contextlib.contextmanager
def _quiet(logger: str) -> Iterator[None]:
    """Our one message says it; the client's own log lines would repeat it ten times."""
    log = logging.getLogger(logger)
    before = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(before)


def _hidden(text: str, secret: str) -> str:
    line = " ".join(text.split())
    return line.replace(secret, "***") if secret else line


def _silent(where: str, variables: str) -> StackError:
    return StackError(
        f"{where} accepts connections but does not answer within {DEADLINE:.0f} s",
        f"check {variables}: is that the right port and protocol, and is the server healthy?",
    )
