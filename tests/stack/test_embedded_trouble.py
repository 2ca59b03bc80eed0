"""What the machine refuses: one clear message with the next step, and nothing half made."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from own_stack import (
    CLI,
    assert_works,
    copy_of,
    known,
    marks,
    own_home,
    postgres_only,
    run_cli,
    servers,
)

from handbook.errors import StackError
from handbook.stack import embedded, jars, postgres, state

pytestmark = pytest.mark.stack
ROOT = os.geteuid() == 0
NO_ROOT = "only root can mount a small disk and become another user"


# --- ports --------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["postgres", "broker", "controller"])
def test_busy_port_is_named_with_its_holder(formatted: Path, which: str) -> None:
    """A port that somebody else took: port and process are named, and no server was started."""
    ports = dict(zip(("postgres", "broker", "controller"), known(formatted).ports(), strict=True))
    with socket.create_server(("127.0.0.1", ports[which])):
        done = run_cli("up")

        assert done.returncode == 3
        assert f"Port {ports[which]}" in done.stderr
        holder = psutil.Process().name()
        assert f"`{holder}` (pid {os.getpid()})" in done.stderr
        assert "handbook wipe" in done.stderr
        assert servers(formatted) == []
    assert run_cli("up").returncode == 0


def test_port_is_not_taken_for_busy_when_connections_are_closing(formatted: Path) -> None:
    """After a kill with open connections the same port is used again at once."""
    stack = embedded.up()
    assert stack.faults is not None
    with socket.create_connection(("127.0.0.1", stack.postgres.port)):
        stack.faults.kill("postgres")

        assert_works(embedded.up())


def test_message_names_the_range_when_no_port_is_free(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first start without a free port says which range is full and writes no state."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(state, "PORTS", range(port, port + 1))

        with pytest.raises(StackError, match=f"No free port is left in {port}-{port}"):
            embedded.up()

    assert not (home / state.NAME).exists()


def test_new_stack_chooses_again_when_somebody_was_quicker(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A port that is taken between choice and start costs a new stack nothing."""
    servers_of_others: list[socket.socket] = []
    choose = state.create

    def choose_and_lose(place: Path, *, brokers: int) -> state.State:
        chosen = choose(place, brokers=brokers)
        if not servers_of_others:
            servers_of_others.append(socket.create_server(("127.0.0.1", chosen.postgres_port)))
        return chosen

    monkeypatch.setattr(state, "create", choose_and_lose)
    stack = embedded.up()

    assert servers_of_others[0].getsockname()[1] != stack.postgres.port
    assert_works(stack)
    servers_of_others[0].close()


# --- users and permissions ----------------------------------------------------------------------


@pytest.mark.skipif(not ROOT, reason=NO_ROOT)
def test_postgres_runs_as_nobody_when_root_starts_it(formatted: Path) -> None:
    """PostgreSQL refuses root; its processes and data belong to nobody instead."""
    postgres_only(formatted)

    users = {p.username() for p in servers(formatted) if p.name() == "postgres"}

    assert users == {"nobody"}
    assert (formatted / "pg").owner() == "nobody"
    assert (formatted / state.NAME).stat().st_mode & 0o777 == 0o600


def owners(place: Path) -> set[str]:
    """Who PostgreSQL runs as; a worker that ends meanwhile is nobody."""
    found = set()
    for process in servers(place):
        with contextlib.suppress(psutil.NoSuchProcess):
            found |= {process.username()} if process.name() == "postgres" else set()
    return found


@pytest.mark.skipif(not ROOT, reason=NO_ROOT)
def test_postgres_starts_when_nobody_cannot_enter(formatted: Path) -> None:
    """In a folder closed to others PostgreSQL runs in a user namespace; both ways keep the data."""
    for mode, user in ((0o700, "root"), (0o755, "nobody")):
        formatted.parent.chmod(mode)
        if not postgres.account(formatted).can_work(formatted):
            pytest.skip("no user namespaces here")
        postgres_only(formatted)
        assert marks(formatted) == []
        assert owners(formatted) == {user}
        embedded.down()


@pytest.mark.skipif(not ROOT, reason=NO_ROOT)
def test_first_start_works_when_nobody_cannot_enter(home: Path) -> None:
    """A new checkout under a closed folder is initialised in a user namespace."""
    home.parent.chmod(0o700)
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-U", "true"]).returncode:
        pytest.skip("no user namespaces here")

    assert_works(embedded.up())


@pytest.mark.skipif(not ROOT, reason=NO_ROOT)
def test_message_is_clear_when_nobody_cannot_enter_and_namespaces_lack(home: Path) -> None:
    """Without user namespaces a closed folder is one error, and nothing stays half made."""
    home.parent.chmod(0o700)

    done = run_cli("up", PATH="/nonexistent")

    assert done.returncode == 3
    assert "`nobody` cannot enter" in done.stderr
    assert "next: run as an ordinary user" in done.stderr
    assert servers(home) == []
    assert {path.name for path in home.iterdir()} <= {"lock", state.NAME, "kafka1", "kafka1.log"}
    assert not list(home.glob("*.new"))


class Person:
    """Somebody without root's rights, with a cache of their own; ourselves if we have none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "stack"
        self.env = {
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "HANDBOOK_STACK_HOME": str(self.home),
            "HANDBOOK_CACHE": str(folder / "cache"),
        }
        self.account: dict[str, Any] = (
            {"user": "nobody", "group": "nogroup", "extra_groups": []} if ROOT else {}
        )
        names = (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}", "/usr/bin/python3")
        self.python = next(filter(self.can_use, names), None)

    def can_use(self, python: str) -> bool:
        """A Python that they may run, and that can import what we import."""
        try:
            return self.call(python, "-c", "import handbook.cli, psycopg, psutil").returncode == 0
        except OSError:
            return False

    def call(self, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a program as them."""
        return subprocess.run(
            command,
            env=self.env | env,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
            **self.account,
        )

    def run_cli(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Our command line as them."""
        assert self.python is not None
        return self.call(self.python, *CLI[1:], *arguments, **env)


@pytest.fixture
def person(start_up_cache: Path) -> Iterator[Person]:
    """An ordinary user."""
    with own_home() as place:
        someone = Person(place.parent)
        if someone.python is None:
            pytest.skip("no Python here that another user may run with our packages")
        cache = place.parent / "cache"
        cache.mkdir()
        # With their times, which the JVM compares.
        subprocess.run(["cp", "-a", jars.home(), cache / jars.home().name], check=True)
        if ROOT:
            subprocess.run(["chown", "-R", "nobody", place.parent], check=True)
        yield someone
        someone.run_cli("wipe", "--yes")


def test_stack_works_for_an_ordinary_user(person: Person) -> None:
    """Without root everything runs as the user: up, up again, down, wipe."""
    first = person.run_cli("up")
    assert (first.returncode, person.run_cli("up").stdout) == (0, first.stdout), first.stderr
    assert person.run_cli("status").returncode == 0
    assert {process.uids().real for process in servers(person.home)} == {person.home.stat().st_uid}

    assert person.run_cli("down").returncode == 0
    assert person.run_cli("status").returncode == 1
    assert person.run_cli("wipe", "--yes").returncode == 0
    assert not person.home.exists()


@pytest.mark.skipif(not ROOT, reason=NO_ROOT)
def test_stack_of_another_user_is_left_alone(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root does not mix its files into an ordinary user's stack; the message names the user."""
    person.home.mkdir()
    shutil.copyfile("/dev/null", person.home / state.NAME)
    shutil.chown(person.home / state.NAME, "nobody")
    monkeypatch.setenv("HANDBOOK_STACK_HOME", str(person.home))

    done = run_cli("up")

    assert done.returncode == 3
    assert f"The stack in {person.home} belongs to the user `nobody`." in done.stderr


@pytest.mark.parametrize("what", ["stack", "cache"])
def test_message_names_the_folder_when_it_cannot_be_written(person: Person, what: str) -> None:
    """No write permission for the state folder or the cache: one message, nothing made."""
    closed = person.folder / "closed"
    closed.mkdir()
    closed.chmod(0o555)
    variable = {"stack": "HANDBOOK_STACK_HOME", "cache": "HANDBOOK_CACHE"}[what]

    done = person.run_cli("up", **{variable: str(closed / "here")})

    assert done.returncode == 3, done.stderr
    assert f"error: No permission to write {closed}" in done.stderr
    assert "HANDBOOK_STACK_HOME" in done.stderr
    assert list(closed.iterdir()) == []


@pytest.mark.skipif(not ROOT, reason=NO_ROOT)
def test_stack_works_for_a_user_without_a_name(person: Person) -> None:
    """A container's bare user id, which PostgreSQL cannot look up, works or is told why not."""
    subprocess.run(["chown", "-R", "4242", person.folder], check=True)
    person.account["user"] = 4242

    done = person.run_cli("up")

    if done.returncode:
        assert "the user id of this process has no name here" in done.stderr
        assert done.returncode == 3
    else:
        assert person.run_cli("status").returncode == 0


# --- disk ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[None]:
    """A real file system of this size at `folder`."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=755", "none", str(folder)]
    if not ROOT or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a small disk cannot be mounted here: that needs root with mount rights")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_first_start_is_refused_when_the_disk_is_nearly_full(home: Path) -> None:
    """A first start that cannot fit does not begin: free and needed space are named."""
    with small_disk(home, 60):
        done = run_cli("up")

        assert done.returncode == 3
        assert "MiB left; the first start needs 300" in done.stderr
        assert "Traceback" not in done.stderr
        assert [path.name for path in home.iterdir()] == ["lock"]


def test_message_says_so_when_the_disk_is_full(home: Path, template: Path) -> None:
    """On a full disk a start fails with one message, nothing runs, and space mends it."""
    with small_disk(home.parent / "disk", 400):
        place = home.parent / "disk" / "stack"
        copy_of(template, place)
        ballast = place / "ballast"
        subprocess.run(["dd", "if=/dev/zero", f"of={ballast}", "bs=1M"], capture_output=True)

        done = run_cli("up", HANDBOOK_STACK_HOME=str(place))

        assert done.returncode == 3
        assert "error: The disk is full" in done.stderr
        assert "free some space" in done.stderr
        assert "Traceback" not in done.stderr
        assert servers(place) == []
        ballast.unlink()
        assert run_cli("up", HANDBOOK_STACK_HOME=str(place)).returncode == 0
        assert run_cli("wipe", "--yes", HANDBOOK_STACK_HOME=str(place)).returncode == 0
