"""External servers: settings from the environment, tried before use, one clear message when not."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from aiokafka import AIOKafkaProducer
from psycopg import sql
from scratch import (
    broker_ports,
    certificates,
    listener,
    never_answer,
    plain_broker,
    started_broker,
    stop,
    tls_in_front_of,
    wait_until,
)

from handbook import stack as stack_package
from handbook.errors import HandbookError, StackError, UsageError
from handbook.stack import Stack, compose, external, kafka, probe, state

LIMIT = 10.0
SECRET = "s3cret-" + "x" * 12


def environment(stack: Stack) -> dict[str, str]:
    """The embedded servers, named as if they were somebody else's."""
    pg = stack.postgres
    options = "&".join(f"{key}={value}" for key, value in pg.options.items())
    return {
        "DATABASE_URL": f"postgresql://{pg.user}:{pg.password}@{pg.host}:{pg.port}/{pg.database}"
        + (f"?{options}" if options else ""),
        "KAFKA_BOOTSTRAP_SERVERS": stack.kafka.bootstrap,
    }


def refusal(env: dict[str, str], kind: type[HandbookError], *secrets: str) -> HandbookError:
    """The error of `connect`: of the right kind, in time, with a next step and without a secret."""
    began = time.monotonic()
    with pytest.raises(kind) as caught:
        external.connect(env)
    assert time.monotonic() - began < LIMIT
    text = str(caught.value)
    assert caught.value.next_step
    assert "Traceback" not in text
    for secret in (*secrets, SECRET):
        assert secret not in text
    return caught.value


# --- which servers ------------------------------------------------------------------------------


@pytest.mark.stack
def test_connect_uses_external_servers_when_both_variables_are_set(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers named by the environment win over the embedded ones, and labs can work on them."""
    for key, value in environment(stack).items():
        monkeypatch.setenv(key, value)

    found = stack_package.connect()

    assert (found.kind, found.brokers, found.faults) == ("external", stack.brokers, None)
    with psycopg.connect(found.postgres.dsn()) as conn:
        row = conn.execute("SELECT current_user").fetchone()
    assert row == (stack.postgres.user,)


@pytest.mark.stack
def test_connect_uses_the_embedded_servers_when_no_variable_is_set(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without variables and containers the embedded stack is found."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    assert compose.chosen() is None

    assert stack_package.connect().kind == "embedded"


@pytest.mark.parametrize(
    ("env", "names"),
    [
        ({"DATABASE_URL": "postgresql://u:p@h/d"}, "KAFKA_BOOTSTRAP_SERVERS"),
        ({"KAFKA_BOOTSTRAP_SERVERS": "h:9092"}, "DATABASE_URL"),
        ({"KAFKA_BOOTSTRAP_SERVERS": "h:9092", "DATABASE_URL": ""}, "DATABASE_URL"),
    ],
)
def test_configured_refuses_when_only_one_variable_is_set(env: dict[str, str], names: str) -> None:
    """Half of a configuration is a mistake, not a reason to start servers of our own."""
    with pytest.raises(UsageError, match=names):
        external.configured(env)


@pytest.mark.parametrize(
    "url",
    [
        f"jdbc:postgresql://h/d?user=u&password={SECRET}",
        f"postgresql+psycopg://u:{SECRET}@h/d",
        f"postgresql://u:{SECRET}@h:notaport/d",
        f"postgresql://u:{SECRET}@/d",
        f"postgresql://:{SECRET}@h/d",
        f"postgresql://u:{SECRET}@h/d?nonsense=1",
        f"host=h password={SECRET}",
    ],
)
def test_connect_refuses_when_the_url_is_malformed(url: str) -> None:
    """A URL we cannot use is named by its variable and never repeated."""
    error = refusal({"DATABASE_URL": url, "KAFKA_BOOTSTRAP_SERVERS": "h:9092"}, UsageError)

    assert "DATABASE_URL" in str(error)


@pytest.mark.parametrize(
    ("extra", "names"),
    [
        ({"KAFKA_BOOTSTRAP_SERVERS": "broker"}, "KAFKA_BOOTSTRAP_SERVERS"),
        ({"KAFKA_BOOTSTRAP_SERVERS": ","}, "KAFKA_BOOTSTRAP_SERVERS"),
        ({"KAFKA_SECURITY_PROTOCOL": "TLS"}, "KAFKA_SECURITY_PROTOCOL"),
        ({"KAFKA_SASL_PASSWORD": SECRET}, "KAFKA_SASL_PASSWORD"),
        ({"KAFKA_SSL_CA": "/ca.pem"}, "KAFKA_SSL_CA"),
        ({"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SASL_USERNAME": "u"}, "KAFKA_SASL_USERNAME"),
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"}, "KAFKA_SASL_USERNAME"),
        ({"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_CA": "/no/ca.pem"}, "/no/ca.pem"),
        ({"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_KEY": "/no/key"}, "KAFKA_SSL_CERT"),
        (
            {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_MECHANISM": "GSSAPI"},
            "KAFKA_SASL_MECHANISM",
        ),
    ],
)
def test_connect_refuses_when_kafka_settings_contradict(extra: dict[str, str], names: str) -> None:
    """A setting that is wrong, or would silently not be used, is named."""
    env = {"DATABASE_URL": "postgresql://u:p@127.0.0.1/d", "KAFKA_BOOTSTRAP_SERVERS": "h:9092"}

    assert names in str(refusal(env | extra, UsageError))


# --- PostgreSQL ---------------------------------------------------------------------------------


@pytest.mark.stack
def test_connect_refuses_when_no_database_server_listens(stack: Stack) -> None:
    """Nobody on the port: says so, with the address."""
    (port,) = state.free_ports(1)
    url = f"postgresql://u:{SECRET}@127.0.0.1:{port}/d"

    error = refusal(environment(stack) | {"DATABASE_URL": url}, StackError)

    assert f"127.0.0.1:{port}" in str(error)
    assert "cannot be reached" in str(error)


@pytest.mark.stack
def test_connect_refuses_when_the_host_has_no_address(stack: Stack) -> None:
    """A name that does not resolve (RFC 2606 reserves it) is told from a refused login."""
    url = f"postgresql://u:{SECRET}@db.invalid/d"

    error = refusal(environment(stack) | {"DATABASE_URL": url}, StackError)

    assert "db.invalid" in str(error)


@pytest.mark.stack
def test_connect_gives_up_when_the_database_never_answers(stack: Stack) -> None:
    """A listener that accepts and is silent costs seconds, not the time-outs of TCP."""
    with listener(never_answer) as port:
        url = f"postgresql://u:{SECRET}@127.0.0.1:{port}/d"
        error = refusal(environment(stack) | {"DATABASE_URL": url}, StackError)

    assert "does not answer" in str(error)


@pytest.mark.stack
@pytest.mark.parametrize("wrong", ["password", "database", "user"])
def test_connect_refuses_when_the_login_fails(stack: Stack, wrong: str) -> None:
    """A wrong password, user or database: the server's words, the user, no password."""
    pg = stack.postgres
    parts = {"user": pg.user, "password": pg.password, "database": pg.database}
    parts |= {wrong: SECRET if wrong == "password" else "nobody-knows"}
    url = "postgresql://{user}:{password}@{host}:{port}/{database}".format(
        **parts, host=pg.host, port=pg.port
    )

    error = refusal(environment(stack) | {"DATABASE_URL": url}, StackError, pg.password)

    assert parts["user"] in str(error)
    assert "check user, password" in str(error)


@pytest.mark.stack
def test_connect_refuses_when_the_server_is_too_old(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Older than the handbook supports: both versions are named."""
    monkeypatch.setattr(probe, "POSTGRES_MINIMUM", 99)

    error = refusal(environment(stack), StackError)

    assert "version 18" in str(error)
    assert "99" in str(error)


@pytest.mark.stack
@pytest.mark.parametrize(
    ("rights", "lacking"),
    [("", "CREATEDB CREATEROLE"), ("CREATEDB", "CREATEROLE"), ("CREATEROLE", "CREATEDB")],
)
def test_connect_refuses_when_the_role_may_too_little(
    stack: Stack, rights: str, lacking: str
) -> None:
    """A role that cannot make databases or roles is told what it lacks and how to get it."""
    role = f"weak_{os.urandom(4).hex()}"
    with psycopg.connect(stack.postgres.dsn(), autocommit=True) as conn:
        name = sql.Identifier(role)
        conn.execute(
            sql.SQL("CREATE ROLE {} LOGIN {} PASSWORD {}").format(name, sql.SQL(rights), SECRET)
        )
        conn.execute(sql.SQL("CREATE DATABASE {}").format(name))
        try:
            url = f"postgresql://{role}:{SECRET}@127.0.0.1:{stack.postgres.port}/{role}"
            error = refusal(environment(stack) | {"DATABASE_URL": url}, StackError)
        finally:
            conn.execute(sql.SQL("DROP DATABASE {}").format(name))
            conn.execute(sql.SQL("DROP ROLE {}").format(name))

    assert f'ALTER ROLE "{role}" {lacking}' in error.next_step


@pytest.fixture(scope="module")
def tls_database(stack: Stack, papers: dict[str, Path]) -> Iterator[int]:
    """The embedded PostgreSQL behind TLS, which its own build lacks; gives the port."""
    with tls_in_front_of(stack.postgres.port, papers) as port:
        yield port


def tls_url(stack: Stack, port: int, ca: Path) -> str:
    """An address that insists on the authority and the host's name."""
    login = f"{stack.postgres.user}:{stack.postgres.password}@localhost:{port}"
    return f"postgresql://{login}/postgres?sslmode=verify-full&sslrootcert={ca}"


@pytest.mark.stack
def test_connect_reaches_postgres_by_verified_tls(
    stack: Stack, tls_database: int, papers: dict[str, Path]
) -> None:
    """Every libpq parameter of the URL is kept, so sslmode and sslrootcert work, for labs too."""
    url = tls_url(stack, tls_database, papers["ca"])

    found = external.connect(environment(stack) | {"DATABASE_URL": url})

    with psycopg.connect(found.postgres.dsn()) as conn:
        assert conn.pgconn.ssl_in_use


@pytest.mark.stack
def test_connect_refuses_when_the_database_shows_a_strangers_certificate(
    stack: Stack, tls_database: int, papers: dict[str, Path]
) -> None:
    """A certificate that another authority signed is refused before the password is sent."""
    url = tls_url(stack, tls_database, papers["stranger"])
    env = environment(stack) | {"DATABASE_URL": url}

    error = refusal(env, StackError, stack.postgres.password)

    assert "certificate" in str(error)
    assert "sslmode" in error.next_step


# --- Kafka --------------------------------------------------------------------------------------


@pytest.mark.stack
def test_connect_refuses_when_no_broker_listens(stack: Stack) -> None:
    """Nobody on the port: says so, with the address."""
    (port,) = state.free_ports(1)

    error = refusal(
        environment(stack) | {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{port}"}, StackError
    )

    assert f"Kafka cannot be reached at 127.0.0.1:{port}" in str(error)


@pytest.mark.stack
def test_connect_needs_only_one_bootstrap_server(stack: Stack) -> None:
    """A dead server in the list does not matter while another answers."""
    (port,) = state.free_ports(1)
    servers = f"127.0.0.1:{port},{stack.kafka.bootstrap}"

    found = external.connect(environment(stack) | {"KAFKA_BOOTSTRAP_SERVERS": servers})

    assert found.brokers == stack.brokers


@pytest.mark.stack
def test_connect_gives_up_when_kafka_never_answers(stack: Stack) -> None:
    """A listener that accepts and is silent: one message within seconds."""
    with listener(never_answer) as port:
        error = refusal(
            environment(stack) | {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{port}"}, StackError
        )

    assert "does not answer" in str(error)


def answer_without_brokers(connection: socket.socket) -> None:
    """Speaks just enough Kafka: its API versions, then a cluster without a broker."""
    while header := connection.recv(4):
        (length,) = struct.unpack(">i", header)
        request = b""
        while len(request) < length:
            request += connection.recv(length - len(request))
        api, _, correlation = struct.unpack(">hhi", request[:8])
        if api == 18:  # ApiVersions v0: no error, Metadata 0-1 and itself
            body = struct.pack(">hi", 0, 2) + struct.pack(">hhhhhh", 3, 0, 1, 18, 0, 0)
        else:  # Metadata v1: no brokers, no controller, no topics
            body = struct.pack(">iii", 0, -1, 0)
        connection.sendall(struct.pack(">ii", 4 + len(body), correlation) + body)


@pytest.mark.stack
def test_connect_refuses_when_the_metadata_hold_no_broker(stack: Stack) -> None:
    """Kafka answers, but knows no broker: the controllers are named as the place to look."""
    with listener(answer_without_brokers) as port:
        error = refusal(
            environment(stack) | {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{port}"}, StackError
        )

    assert "knows no broker" in str(error)
    assert "controllers" in error.next_step


@pytest.mark.stack
def test_connect_refuses_when_kafka_has_lost_its_controllers(stack: Stack, tmp_path: Path) -> None:
    """One broker of three is left: it still lists brokers, but nobody can make a topic."""
    ports = broker_ports(3)
    folders = [tmp_path / f"kafka{node}" for node in (1, 2, 3)]
    started = [
        started_broker(folder, plain_broker(node, ports)) for node, folder in enumerate(folders, 1)
    ]
    with started[0], started[1], started[2]:
        wait_until(lambda: kafka.brokers(ports[0][0]) == {1, 2, 3}, "three brokers")
        env = environment(stack) | {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{ports[0][0]}"}
        assert external.connect(env).brokers == 3

        stop(folders[1])
        stop(folders[2])
        error = refusal(env, StackError)

    assert "controller" in str(error) or "cannot be reached" in str(error)


@pytest.mark.stack
def test_connect_refuses_when_brokers_advertise_an_unreachable_address(
    stack: Stack, tmp_path: Path
) -> None:
    """The address clients are sent to is tried too, and named."""
    ports = broker_ports(1)
    (dead,) = state.free_ports(1)
    properties = plain_broker(1, ports)
    properties["advertised.listeners"] = f"PLAINTEXT://127.0.0.1:{dead}"
    with started_broker(tmp_path / "kafka1", properties):
        port = ports[0][0]
        wait_until(lambda: kafka.brokers(port) == {1}, "the broker")
        env = environment(stack) | {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{port}"}
        error = refusal(env, StackError)

    assert f"127.0.0.1:{dead}" in str(error)
    assert "advertised.listeners" in error.next_step


# --- TLS and SASL -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An authority, a key pair it signed, and a stranger."""
    return certificates(tmp_path_factory.mktemp("papers"))


@pytest.fixture(scope="module")
def secured(papers: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A broker whose only client listener wants TLS and a SCRAM login; gives its port."""
    ports = broker_ports(1)
    properties = plain_broker(1, ports)
    for key in ("listeners", "advertised.listeners"):
        properties[key] = properties[key].replace("PLAINTEXT://", "SECURE://")
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required"
    account = f'username="reader" password="{SECRET}";'
    properties |= {
        "listener.security.protocol.map": "SECURE:SASL_SSL,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "SECURE",
        "sasl.enabled.mechanisms": "SCRAM-SHA-256",
        "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-256",
        "listener.name.secure.scram-sha-256.sasl.jaas.config": f"{scram} {account}",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(papers["bundle"]),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(papers["ca"]),
    }
    user = f"SCRAM-SHA-256=[name=reader,password={SECRET}]"
    folder = tmp_path_factory.mktemp("secured") / "kafka1"
    with started_broker(folder, properties, "--add-scram", user):
        wait_until(lambda: "Kafka Server started" in log(folder), "the broker")
        yield ports[0][0]


def log(folder: Path) -> str:
    """What the broker in `folder` said."""
    return (folder / "kafka.log").read_text()


def secured_environment(stack: Stack, port: int, ca: Path) -> dict[str, str]:
    """All that a client of the secured broker sets."""
    return environment(stack) | {
        "KAFKA_BOOTSTRAP_SERVERS": f"localhost:{port}",
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_MECHANISM": "SCRAM-SHA-256",
        "KAFKA_SASL_USERNAME": "reader",
        "KAFKA_SASL_PASSWORD": SECRET,
        "KAFKA_SSL_CA": str(ca),
    }


@pytest.mark.stack
def test_connect_reaches_kafka_by_tls_and_scram(
    stack: Stack, secured: int, papers: dict[str, Path]
) -> None:
    """The settings make clients that log in over a verified connection."""
    found = external.connect(secured_environment(stack, secured, papers["ca"]))

    assert found.brokers == 1
    assert SECRET not in repr(found)

    async def start_a_client() -> None:
        producer = AIOKafkaProducer(**found.kafka.client())
        await producer.start()
        await producer.stop()

    asyncio.run(start_a_client())


@pytest.mark.stack
@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"KAFKA_SASL_PASSWORD": "wrong-one"}, "KAFKA_SASL"),
        ({"KAFKA_SASL_MECHANISM": "PLAIN"}, "KAFKA_SASL"),
        ({"KAFKA_SASL_MECHANISM": "SCRAM-SHA-512"}, "KAFKA_SASL"),
        ({"KAFKA_SSL_CA": "stranger"}, "KAFKA_SSL_CA"),
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_SSL_CA": ""}, "SECURITY_PROTOCOL"),
    ],
)
def test_connect_refuses_when_kafka_refuses(
    stack: Stack, secured: int, papers: dict[str, Path], change: dict[str, str], names: str
) -> None:
    """A wrong account, authority or protocol: the variable to look at is named."""
    env = secured_environment(stack, secured, papers["ca"]) | change
    if change.get("KAFKA_SSL_CA") == "stranger":
        env["KAFKA_SSL_CA"] = str(papers["stranger"])

    error = refusal(env, StackError, "wrong-one")

    assert names in str(error)


@pytest.mark.stack
def test_connect_refuses_when_tls_meets_a_plain_broker(
    stack: Stack, papers: dict[str, Path]
) -> None:
    """TLS spoken to a listener without TLS: names the protocol setting."""
    env = environment(stack) | {
        "KAFKA_SECURITY_PROTOCOL": "SSL",
        "KAFKA_SSL_CA": str(papers["ca"]),
    }

    assert "KAFKA_SECURITY_PROTOCOL" in str(refusal(env, StackError))


# --- the command line ---------------------------------------------------------------------------


def handbook(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a reader does."""
    command = [str(Path(sys.executable).with_name("handbook")), *arguments]
    return subprocess.run(
        command, env=os.environ | env, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.stack
def test_up_tries_external_servers_and_prints_no_password(stack: Stack) -> None:
    """`handbook up` on external servers says what they are; the password stays out of it."""
    done = handbook(environment(stack), "up", "--json")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["kind"] == "external"
    assert stack.postgres.password not in done.stdout + done.stderr


@pytest.mark.stack
def test_up_exits_with_3_when_the_database_cannot_be_reached(stack: Stack) -> None:
    """An unreachable server is the machine's fault: exit code 3, one message, no traceback."""
    (port,) = state.free_ports(1)
    url = f"postgresql://u:{SECRET}@127.0.0.1:{port}/d"

    done = handbook(environment(stack) | {"DATABASE_URL": url}, "up")

    assert done.returncode == 3
    assert "next:" in done.stderr
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stderr


@pytest.mark.stack
def test_up_exits_with_2_when_only_one_variable_is_set() -> None:
    """Half a configuration is the reader's slip: exit code 2."""
    done = handbook({"DATABASE_URL": "postgresql://u:p@h/d"}, "up")

    assert done.returncode == 2
    assert "KAFKA_BOOTSTRAP_SERVERS" in done.stderr


@pytest.mark.stack
def test_status_exits_with_1_when_an_external_server_is_down(stack: Stack) -> None:
    """`handbook status` tries both and names the one that is down."""
    (port,) = state.free_ports(1)
    env = environment(stack) | {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{port}"}

    done = handbook(env, "status", "--json")

    facts = json.loads(done.stdout)
    assert done.returncode == 1
    assert [server["running"] for server in facts["servers"]] == [True, False]
