"""`handbook up --docker`: what it asks of Docker, what it keeps, what it says without Docker.

No engine runs where these tests do. A stand-in for the command `docker` plays the engine's part;
the servers behind the published ports are the real embedded ones. That the real Compose knows the
arguments is shown in test_compose_file.py.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from handbook import stack as stack_package
from handbook.errors import StackError, UsageError
from handbook.stack import Stack, compose, roles, settings, state

Docker = Callable[[str], Path]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stack's home of the test's own."""
    place = tmp_path / "stack"
    monkeypatch.setenv("HANDBOOK_STACK_HOME", str(place))
    for name in ("DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS"):
        monkeypatch.delenv(name, raising=False)
    return place


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Docker:
    """Puts a shell script named `docker` alone on the PATH; its calls go to a file."""

    def make(script: str) -> Path:
        folder, calls = tmp_path / "bin", tmp_path / "calls"
        folder.mkdir()
        program = folder / "docker"
        program.write_text(f'#!/bin/sh\necho "$@" >>{calls}\n{script}\n')
        program.chmod(0o755)
        calls.touch()
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        return calls

    return make


ENGINE = """
case "$1 $2" in
"compose version") echo 2.26.1 ;;
"version --format") echo 28.2.2 ;;
esac
"""


# --- what is missing ----------------------------------------------------------------------------


def test_up_says_so_when_docker_is_not_installed(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the command: install it, or do without containers. Nothing is made."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(StackError, match="not installed") as caught:
        compose.up()

    assert "without --docker" in caught.value.next_step
    assert not home.exists()


@pytest.mark.parametrize("script", ["exit 1", "echo 1.29.2"])
def test_up_says_so_when_the_compose_plugin_is_missing_or_old(
    home: Path, docker: Docker, script: str
) -> None:
    """A client without Compose 2 is told apart from a missing engine."""
    docker(script)

    with pytest.raises(StackError, match="Compose plugin"):
        compose.up()
    assert not home.exists()


def test_up_says_so_when_the_engine_does_not_run(home: Path, docker: Docker) -> None:
    """The engine's own words are passed on."""
    docker(ENGINE.replace("echo 28.2.2", "echo 'Cannot connect to the Docker daemon' >&2; exit 1"))

    with pytest.raises(StackError, match="Cannot connect to the Docker daemon"):
        compose.up()
    assert not home.exists()


@pytest.mark.skipif(not shutil.which("docker"), reason="the command docker is not installed")
def test_check_fails_when_the_real_client_finds_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real client without an engine, or without its plugin, is refused too."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")

    with pytest.raises(StackError, match=r"engine|plugin"):
        compose.check_docker()


def test_up_says_so_when_a_container_stays_unhealthy(home: Path, docker: Docker) -> None:
    """A failing `up --wait` names the command that shows why, and is not remembered as up."""
    docker(ENGINE.replace("esac", '"compose --file") exit 1 ;;\nesac'))

    with pytest.raises(StackError, match="healthy") as caught:
        compose.up()

    assert "logs" in caught.value.next_step
    assert compose.chosen() is None


def test_up_refuses_when_the_number_of_brokers_is_not_in_the_file(home: Path) -> None:
    """One or three; anything else is the reader's slip."""
    with pytest.raises(UsageError, match="2 brokers"):
        compose.up(brokers=2)


# --- what it keeps ------------------------------------------------------------------------------


def test_environment_is_private_and_kept(home: Path) -> None:
    """Passwords and ports are made once, in a file that only its owner reads."""
    home.mkdir()
    first = compose.environment()

    assert compose.environment() == first
    assert stat.S_IMODE((home / "compose.env").stat().st_mode) == 0o600
    assert first["POSTGRES_PASSWORD"] != first["TOOLING_PASSWORD"]
    assert len({value for key, value in first.items() if key.endswith("_PORT")}) == 5


def test_environment_differs_when_there_are_two_checkouts(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two checkouts share neither containers nor volumes nor passwords."""
    home.mkdir()
    first = compose.environment()
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("HANDBOOK_STACK_HOME", str(tmp_path / "other"))

    second = compose.environment()

    for key in ("COMPOSE_PROJECT_NAME", "POSTGRES_PASSWORD", "TOOLING_PASSWORD"):
        assert first[key] != second[key]


# --- up, found again, down ----------------------------------------------------------------------


@pytest.fixture
def published(stack: Stack, home: Path) -> Iterator[dict[str, str]]:
    """The embedded servers in the place of the containers, under the ports that the file names."""
    home.mkdir()
    known = state.load(Path(_SESSION_HOME))
    assert known is not None
    values = compose.environment() | {
        "POSTGRES_PORT": str(known.postgres_port),
        "POSTGRES_PASSWORD": known.superuser_password,
        "TOOLING_PASSWORD": known.tooling_password,
        "KAFKA_PORT": str(known.nodes[0].port),
    }
    (home / "compose.env").write_text("".join(f"{k}={v}\n" for k, v in values.items()))
    with one_at_a_time():
        yield values


_SESSION_HOME = os.environ["HANDBOOK_STACK_HOME"]


def one_at_a_time() -> AbstractContextManager[None]:
    """Two workers must not alter the same role of the shared server at once."""
    return state.locked(Path(_SESSION_HOME) / "roles.lock")


@pytest.mark.stack
def test_up_starts_waits_and_makes_the_role(
    published: dict[str, str], docker: Docker, home: Path
) -> None:
    """Containers are started by name and waited for; the result is a `Stack` labs can use."""
    calls = docker(ENGINE)

    made = compose.up()

    asked = calls.read_text().splitlines()[-1].split()
    assert asked[-7:] == ["up", "--detach", "--wait", "--wait-timeout", "300", "postgres", "kafka"]
    assert published["POSTGRES_PASSWORD"] not in calls.read_text()
    assert (made.kind, made.brokers) == ("compose", 1)
    with psycopg.connect(made.postgres.dsn()) as conn:
        assert conn.execute("SELECT current_user").fetchone() == (settings.TOOLING,)


@pytest.mark.stack
def test_connect_finds_the_containers_until_down(
    published: dict[str, str], docker: Docker, home: Path
) -> None:
    """What `up --docker` started is found without asking Docker, and forgotten by `down`."""
    calls = docker(ENGINE)
    compose.up()
    calls.write_text("")

    assert stack_package.connect().kind == "compose"
    assert calls.read_text() == ""

    assert compose.down()
    assert calls.read_text().splitlines()[-1].split()[-1] == "down"
    assert compose.chosen() is None
    assert not compose.down()


@pytest.mark.stack
def test_wipe_deletes_volumes_and_passwords(
    published: dict[str, str], docker: Docker, home: Path
) -> None:
    """Data and the passwords to it go together."""
    calls = docker(ENGINE)
    compose.up()

    assert compose.wipe()

    assert calls.read_text().splitlines()[-1].split()[-2:] == ["down", "--volumes"]
    assert not (home / "compose.env").exists()
    assert compose.chosen() is None


@pytest.mark.stack
def test_down_says_so_when_docker_is_gone(
    published: dict[str, str], docker: Docker, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Containers cannot be removed without Docker: nothing is forgotten silently."""
    docker(ENGINE)
    compose.up()
    monkeypatch.setenv("PATH", "/nonexistent")

    with pytest.raises(StackError, match="docker"):
        compose.down()

    assert compose.chosen() == 1


@pytest.mark.stack
def test_up_replaces_the_brokers_when_their_number_changes(
    published: dict[str, str], docker: Docker, home: Path
) -> None:
    """One broker does not stay behind when three are asked for."""
    calls = docker(ENGINE)
    compose.up()

    compose.up(brokers=3)

    removed, started = (line.split() for line in calls.read_text().splitlines()[-2:])
    assert removed[-4:] == ["rm", "--stop", "--force", "kafka"]
    assert started[-4:] == ["postgres", "kafka-1", "kafka-2", "kafka-3"]
    assert compose.chosen() == 3


PS = [
    {"Service": "postgres", "State": "running", "Health": "healthy", "Image": "postgres:18"},
    {"Service": "kafka", "State": "exited", "Health": "", "Image": "apache/kafka:4.4.0"},
]


@pytest.mark.stack
@pytest.mark.parametrize("as_list", [True, False])
def test_status_reads_what_docker_prints(
    published: dict[str, str], docker: Docker, home: Path, as_list: bool
) -> None:
    """Both forms of `ps --format json`, a list and a line each, are understood."""
    text = json.dumps(PS) if as_list else "\n".join(map(json.dumps, PS))
    (home / "ps.json").write_text(text)
    docker(ENGINE.replace("esac", f'"compose --file") cat {home}/ps.json ;;\nesac'))

    found = compose.status()

    assert [(s.name, s.state, s.running, s.version) for s in found] == [
        ("postgres", "running", True, "18"),
        ("kafka", "exited", False, "4.4.0"),
    ]
    assert found[0].port == int(published["POSTGRES_PORT"])


@pytest.mark.stack
def test_faults_are_asked_of_docker(published: dict[str, str], docker: Docker, home: Path) -> None:
    """Kill, pause, resume and start name the container."""
    calls = docker(ENGINE)
    faults = compose.up().faults
    assert faults is not None

    faults.kill("postgres")
    faults.pause("kafka")
    faults.resume("kafka")
    faults.start("postgres")

    asked = [line.split("--profile cluster ")[-1] for line in calls.read_text().splitlines()[-4:]]
    assert asked == [
        "kill --signal SIGKILL postgres",
        "pause kafka",
        "unpause kafka",
        "up --detach --wait --no-deps postgres",
    ]


# --- the same role ------------------------------------------------------------------------------


def role_facts(conn: psycopg.Connection, name: str) -> list[tuple[object, ...]]:
    """A role's attributes, groups and way into the closed databases."""
    attributes = conn.execute(
        "SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, rolcanlogin,"
        " rolinherit FROM pg_roles WHERE rolname = %s",
        [name],
    ).fetchall()
    groups = conn.execute(
        # The roles that labs made meanwhile are groups of their maker too.
        "SELECT roleid::regrole::text, admin_option FROM pg_auth_members"
        " WHERE member = %s::regrole AND roleid::regrole::text LIKE 'pg!_%%' ESCAPE '!' ORDER BY 1",
        [name],
    ).fetchall()
    access = conn.execute(
        "SELECT datname, has_database_privilege(%s, datname, 'CONNECT'),"
        " has_database_privilege(0::oid, datname, 'CONNECT')"
        " FROM pg_database WHERE datname = ANY(%s) ORDER BY 1",
        [name, list(settings.CLOSED_DATABASES)],
    ).fetchall()
    return [*attributes, *groups, *access]


@pytest.mark.stack
def test_role_of_the_containers_equals_the_embedded_one(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made by the Compose path on a real server, a role has exactly the embedded role's rights."""
    known = state.load(Path(_SESSION_HOME))
    assert known is not None
    admin = make_conninfo(
        stack.postgres.dsn(), user=settings.SUPERUSER, password=known.superuser_password
    )
    twin = f"twin_{os.urandom(4).hex()}"
    with one_at_a_time(), psycopg.connect(admin, autocommit=True) as conn:
        wanted = role_facts(conn, settings.TOOLING)
        monkeypatch.setattr(settings, "TOOLING", twin)
        try:
            roles.make_tooling_role(conn, "a-password")
            roles.make_tooling_role(conn, "a-password")  # may be repeated
            made = role_facts(conn, twin)
        finally:
            conn.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(twin)))
            conn.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(twin)))

    assert made == wanted
    assert made[0][:3] == (False, True, True)
