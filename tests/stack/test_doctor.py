"""`handbook doctor`: every line is broken for real, and says what to do."""

from __future__ import annotations

import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from edits import replace

from handbook import paths
from handbook.stack import Stack, doctor, state

HANDBOOK = Path(sys.executable).with_name("handbook")
REQUIRED = {
    "python", "packages", "programs", "permissions", "disk", "memory", "ports", "clock", "locale",
}  # fmt: skip
Run = Callable[..., tuple[int, dict[str, dict[str, str]]]]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A stack's home of the test's own, in a folder that everybody may enter."""
    base = Path(tempfile.gettempdir())
    for folder in (tmp_path, *tmp_path.parents):
        if folder.is_relative_to(base) and folder != base:
            folder.chmod(0o755)
    place = tmp_path / "stack"
    place.mkdir()
    place.chmod(0o755)
    return place


@pytest.fixture
def run(home: Path) -> Run:
    """The command in a process of its own; gives the exit code and the lines by name."""

    def call(
        limits: dict[int, int] | None = None, **env: str
    ) -> tuple[int, dict[str, dict[str, str]]]:
        def limit() -> None:
            for kind, value in (limits or {}).items():
                resource.setrlimit(kind, (value, value))

        clean = {k: v for k, v in os.environ.items() if not k.startswith(("KAFKA_", "DATABASE_"))}
        done = subprocess.run(
            [str(HANDBOOK), "doctor", "--json"],
            env=clean | {"HANDBOOK_STACK_HOME": str(home)} | env,
            capture_output=True,
            preexec_fn=limit,
            timeout=60,
            check=False,
        )
        assert b"Traceback" not in done.stderr
        lines = json.loads(done.stdout)
        return done.returncode, {line["name"]: line for line in lines}

    return call


def assert_only(lines: dict[str, dict[str, str]], broken: str) -> dict[str, str]:
    """Exactly one line fails, and it has a next step."""
    assert [name for name, line in lines.items() if line["state"] == "fail"] == [broken]
    assert lines[broken]["next_step"]
    return lines[broken]


def test_doctor_exits_with_0_when_nothing_is_wrong(run: Run) -> None:
    """On a machine that can run the tests all required lines are fine."""
    code, lines = run()

    assert {name for name, line in lines.items() if line["state"] == "ok"} >= REQUIRED
    assert code == 0


def test_doctor_prints_lines_for_people(home: Path) -> None:
    """Without --json: one line each, and the next step below the ones that fail."""
    env = os.environ | {"HANDBOOK_STACK_HOME": str(home), "LC_ALL": "C", "PYTHONUTF8": "0"}
    env["PYTHONCOERCECLOCALE"] = "0"
    done = subprocess.run(
        [str(HANDBOOK), "doctor"], env=env, capture_output=True, text=True, check=False
    )

    assert "ok    python" in done.stdout
    assert "fail  locale" in done.stdout
    assert "next: export LC_ALL=C.UTF-8" in done.stdout
    assert done.returncode == 3


# --- broken for real ----------------------------------------------------------------------------


def test_locale_fails_when_the_terminal_is_not_utf8(run: Run) -> None:
    """A C locale with Python's rescue switched off cannot print Korean."""
    code, lines = run(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")

    assert "UTF-8" in assert_only(lines, "locale")["next_step"]
    assert code == 3


def test_locale_fails_when_only_the_output_is_not_utf8(run: Run) -> None:
    """PYTHONIOENCODING from an old profile is found too."""
    _, lines = run(PYTHONIOENCODING="latin-1")

    assert "output" in assert_only(lines, "locale")["text"]


def test_memory_fails_when_the_address_space_is_limited(run: Run) -> None:
    """`ulimit -v` that a JVM cannot live with is named."""
    _, lines = run({resource.RLIMIT_AS: 3 * 2**30})

    assert "ulimit -v" in lines["memory"]["next_step"]
    assert lines["memory"]["state"] == "fail"


def test_disk_fails_when_files_may_not_grow(run: Run) -> None:
    """`ulimit -f` below a PostgreSQL segment is named."""
    code, lines = run({resource.RLIMIT_FSIZE: 2**20})

    assert "ulimit -f" in assert_only(lines, "disk")["next_step"]
    assert code == 3


def test_ports_fails_when_a_chosen_port_is_busy(run: Run, home: Path) -> None:
    """A foreign listener on one of our ports: the port and the program are named."""
    known = state.create(home, brokers=1)
    with socket.create_server(("127.0.0.1", known.nodes[0].port)):
        _, lines = run()

    line = assert_only(lines, "ports")
    assert str(known.nodes[0].port) in line["text"]
    assert str(os.getpid()) in line["text"]


def test_ports_passes_when_the_chosen_ports_are_free(run: Run, home: Path) -> None:
    """The twin: the same state without the listener."""
    known = state.create(home, brokers=3)

    _, lines = run()

    assert lines["ports"]["state"] == "ok"
    assert str(known.nodes[2].port) in lines["ports"]["text"]


@pytest.mark.stack
def test_doctor_passes_when_our_own_servers_hold_the_ports(stack: Stack, run: Run) -> None:
    """A running stack is no finding, and its database is asked for the time."""
    code, lines = run(HANDBOOK_STACK_HOME=os.environ["HANDBOOK_STACK_HOME"])

    assert code == 0
    assert str(stack.postgres.port) in lines["ports"]["text"]
    assert "in step with the database" in lines["clock"]["text"]


def test_state_that_is_damaged_is_a_finding_not_a_traceback(run: Run, home: Path) -> None:
    """A cut-off state file: the lines that need it fail with a next step."""
    (home / "state.json").write_text('{"postgres_port": 29')

    code, lines = run()

    assert code == 3
    assert "handbook wipe" in lines["ports"]["next_step"]


def test_clock_fails_when_files_come_from_the_future(run: Run, home: Path) -> None:
    """A file newer than now means that the clock was set back."""
    (home / "state.part").touch()
    os.utime(home / "state.part", (time.time() + 7200,) * 2)

    _, lines = run()

    assert "future" in assert_only(lines, "clock")["text"]


@pytest.mark.parametrize(
    ("now", "skew", "found"), [(10.0**9, None, "2001"), (None, 7.5, "8 s"), (None, -7.5, "-8 s")]
)
def test_clock_fails_when_the_time_is_wrong(
    monkeypatch: pytest.MonkeyPatch, home: Path, now: float | None, skew: float | None, found: str
) -> None:
    """A year before the handbook's, or a database that sees another time."""
    monkeypatch.setenv("HANDBOOK_STACK_HOME", str(home))
    if now:
        monkeypatch.setattr("time.time", lambda: now)
    monkeypatch.setattr(doctor, "_database_skew", lambda: skew)

    line = doctor.clock()

    assert (line.state, found in line.text) == ("fail", True)


def test_python_fails_when_the_version_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside the versions that the wheels exist for: the wanted ones are named."""
    monkeypatch.setattr(doctor, "PYTHONS", ((3, 98), (3, 100)))

    line = doctor.python()

    assert line.state == "fail"
    assert "3.98 to 3.99" in line.next_step


@pytest.fixture
def mounted(tmp_path: Path, home: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a small file system of its own; only root can."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    place = home / "mounted"
    place.mkdir()

    def mount(options: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"mount refused: {done.stderr.strip()}")
        return place

    yield mount
    subprocess.run(["umount", str(place)], capture_output=True, check=False)


def test_disk_fails_when_there_is_no_space(run: Run, mounted: Callable[[str], Path]) -> None:
    """A full disk: how much is free, how much is needed."""
    place = mounted("size=20m,mode=755")

    _, lines = run(HANDBOOK_STACK_HOME=str(place))

    assert "20 MiB free" in assert_only(lines, "disk")["text"]


def test_permissions_fails_when_the_disk_is_read_only(
    run: Run, mounted: Callable[[str], Path]
) -> None:
    """Nothing can be written, not even by root."""
    place = mounted("ro,mode=755")

    _, lines = run(HANDBOOK_STACK_HOME=str(place / "stack"))

    line = assert_only(lines, "permissions")
    assert "Read-only" in line["text"]
    assert str(place) in line["next_step"]


AS_NOBODY = """
import os
from handbook.stack import doctor  # first: the interpreter may lie in a folder of root's
if os.geteuid() == 0:
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
line = doctor.permissions()
print(line.state, line.text)
"""


def test_permissions_fails_when_a_user_may_not_write(home: Path) -> None:
    """An ordinary user and a folder that is not theirs to write."""
    home.chmod(0o555)

    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY],
        env=os.environ | {"HANDBOOK_STACK_HOME": str(home), "HANDBOOK_CACHE": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.startswith(f"fail {home} cannot be written")


def test_permissions_fails_when_nobody_may_enter(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root, below a folder that `nobody` cannot enter and without user namespaces."""
    if os.geteuid() != 0:
        pytest.skip("concerns root only")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "unshare").write_text("#!/bin/sh\nexit 1\n")
    (tools / "unshare").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("HANDBOOK_STACK_HOME", str(closed / "stack"))

    line = next(line for line in doctor.examine() if line.name == "permissions")

    assert line.state == "fail"
    assert "ordinary user" in line.next_step


# --- packages -----------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the two files that say what is installed."""
    for name in ("pyproject.toml", "requirements.txt"):
        shutil.copyfile(paths.ROOT / name, tmp_path / name)
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    return tmp_path


def test_packages_passes_when_nothing_changed(project: Path) -> None:
    """The committed files and the environment agree."""
    assert doctor.packages().state == "ok"


def test_packages_fails_when_pyproject_asks_for_more(project: Path) -> None:
    """A dependency that the lock lacks: compile it again."""
    replace(
        project / "pyproject.toml", "dependencies = [", 'dependencies = [\n    "left-pad>=1",', 1
    )

    line = doctor.packages()

    assert (line.state, "make lock" in line.next_step) == ("fail", True)


def test_packages_fails_when_the_lock_is_too_old_for_pyproject(project: Path) -> None:
    """A bound that the locked version does not meet."""
    replace(project / "pyproject.toml", '"psutil>=7"', '"psutil>=99"')

    assert "psutil>=99" in doctor.packages().text


def test_packages_fails_when_the_environment_is_behind_the_lock(project: Path) -> None:
    """Another version is installed than locked: set up again."""
    installed = doctor._locked_versions(project / "requirements.txt")["psutil"]
    replace(project / "requirements.txt", f"psutil=={installed}", "psutil==98.0")
    replace(project / "pyproject.toml", '"psutil>=7"', '"psutil"')

    line = doctor.packages()

    assert (line.state, "make setup" in line.next_step) == ("fail", True)


# --- servers, Docker, browser -------------------------------------------------------------------


def test_servers_fails_when_an_external_one_cannot_be_reached(run: Run) -> None:
    """External servers are tried; the password is not repeated."""
    (port,) = state.free_ports(1)

    code, lines = run(
        DATABASE_URL=f"postgresql://u:s3cret@127.0.0.1:{port}/d",
        KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{port}",
    )

    assert code == 3
    assert str(port) in lines["servers"]["text"]
    assert "s3cret" not in json.dumps(lines)


def test_docker_and_browser_are_only_information(run: Run, tmp_path: Path) -> None:
    """Without Docker and Chromium the handbook works; the lines say what would need them."""
    _, lines = run(PATH=str(tmp_path), CHROMIUM="")

    assert lines["docker"]["state"] == lines["browser"]["state"] == "info"
    assert "--docker" in lines["docker"]["text"]
    assert "make browser" in lines["browser"]["text"]


def test_browser_is_found_by_its_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """$CHROMIUM wins over the PATH."""
    program = tmp_path / "my-chrome"
    program.touch(0o755)
    monkeypatch.setenv("CHROMIUM", str(program))

    assert doctor.browser().text == str(program)


def test_line_is_a_finding_when_its_check_cannot_be_made() -> None:
    """What the system refuses becomes a failing line."""

    def refused() -> Any:
        raise PermissionError(13, "Permission denied", "/somewhere")

    line = doctor._guarded("disk", refused)

    assert (line.state, "/somewhere" in line.text) == ("fail", True)
