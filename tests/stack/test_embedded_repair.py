"""Cut off at any moment: the next `up` repairs, and an interrupted one leaves nothing half made."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import psutil
import psycopg
import pytest
from own_stack import assert_works, dsn_of, known, marked, marks, postgres_only, servers, start_cli
from scratch import wait_until

from handbook.errors import StackError
from handbook.stack import embedded, kafka, postgres, processes, state

pytestmark = pytest.mark.stack
KILLED_WITHIN = (0.3, 1.5)  # seconds; the first 0.3 are Python's own


def killed_up(seconds: float) -> None:
    """A first start, killed without warning."""
    first = start_cli("up")
    with contextlib.suppress(subprocess.TimeoutExpired):
        first.communicate(timeout=seconds)
    first.kill()
    first.communicate()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_next_up_repairs_when_first_one_was_killed(home: Path, seed: int) -> None:
    """A first start killed at a random moment leaves nothing that the next one cannot mend."""
    moment = random.Random(seed).uniform(*KILLED_WITHIN)
    killed_up(moment)

    assert_works(embedded.up())

    assert only_one_of_each(home), f"killed after {moment:.2f} s"
    assert [path.name for path in home.glob("pg.*")] == []


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 120))
def test_next_up_repairs_when_two_were_killed(home: Path, seed: int) -> None:
    """Also when the repair itself is killed at a random moment."""
    moments = random.Random(seed)
    for _ in range(2):
        killed_up(moments.uniform(*KILLED_WITHIN))

    assert_works(embedded.up())
    assert only_one_of_each(home), f"seed {seed}"


def only_one_of_each(place: Path) -> bool:
    """One broker, one postmaster with its own children, and no formatter or initdb left."""
    found = servers(place)
    postmaster = postgres.process(place)
    assert postmaster is not None
    family = {postmaster.pid, *(child.pid for child in postmaster.children())}
    strangers = [p for p in found if p.name() != "java" and p.pid not in family]
    return strangers == [] and len([p for p in found if p.name() == "java"]) == 1


@pytest.mark.parametrize("moment", ["initdb", "java"])
def test_ctrl_c_leaves_nothing_running_and_nothing_half_made(home: Path, moment: str) -> None:
    """Ctrl-C while data is created ends both servers' set-up at once and deletes what it made."""
    first = start_cli("up")
    wait_until(lambda: any(p.name() == moment for p in servers(home)), f"{moment} to be at work")
    began = time.monotonic()

    os.killpg(first.pid, signal.SIGINT)
    _, said = first.communicate(timeout=20)

    assert first.returncode != 0
    assert time.monotonic() - began < 10
    assert "stopping what was begun" in said
    assert "Traceback" not in said
    assert servers(home) == []
    assert not (home / "pg").exists() or postgres.initialised(home)
    assert not (home / "kafka1").exists() or kafka.formatted(home / "kafka1")
    assert_works(embedded.up())


def test_ctrl_c_stops_only_what_this_up_began(formatted: Path) -> None:
    """Interrupting a start that only misses the broker leaves PostgreSQL and its sessions alone."""
    postgres.up(formatted, known(formatted))
    with psycopg.connect(dsn_of(formatted)) as session:
        second = start_cli("up")
        wait_until(lambda: any(p.name() == "java" for p in servers(formatted)), "the broker")

        os.killpg(second.pid, signal.SIGINT)
        second.communicate(timeout=20)

        assert session.execute("SELECT 1").fetchone() == (1,)
    assert [p for p in servers(formatted) if p.name() == "java"] == []


def test_failure_of_one_server_takes_the_other_down(
    formatted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the broker cannot start, PostgreSQL does not stay behind; data of before stays."""
    monkeypatch.setattr(kafka, "KAFKA_HEAP", "1m")

    with pytest.raises(StackError) as caught:
        embedded.up()

    assert "Kafka broker 1 ended while starting" in caught.value.what
    assert servers(formatted) == []
    monkeypatch.undo()
    monkeypatch.setenv("HANDBOOK_STACK_HOME", str(formatted))
    assert_works(embedded.up())


def test_half_a_format_is_begun_anew(home: Path) -> None:
    """Storage whose formatting was cut off is formatted again, even where files look whole."""
    home.mkdir(mode=0o755)
    state.create(home, brokers=1)
    place = home / "kafka1"
    (place / "data").mkdir(parents=True)
    (place / "data" / "meta.properties").write_text("version=1\n")  # half of one
    (place / "format.new").touch()

    assert_works(embedded.up())


def test_postmaster_comes_back_when_killed_under_load(formatted: Path) -> None:
    """After kill -9 with busy sessions: orphan backends are ended, acknowledged rows are there."""
    postgres_only(formatted)
    marked(formatted, "acknowledged")
    busy = psycopg.connect(dsn_of(formatted), autocommit=True)
    busy.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 1e12)")
    wait_until(lambda: active_queries(formatted) == 1, "the busy session")
    postmaster = postgres.process(formatted)
    assert postmaster is not None

    postmaster.kill()
    wait_until(lambda: postgres.process(formatted) is None, "the postmaster's end")
    assert servers(formatted) != []  # the busy backend does not notice
    began = time.monotonic()
    postgres_only(formatted)

    assert marks(formatted) == ["acknowledged"]
    assert time.monotonic() - began < 15
    busy.close()


def active_queries(place: Path) -> int:
    """Sessions in the middle of counting."""
    with psycopg.connect(dsn_of(place)) as conn:
        query = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%1e12%%' AND pid <> %s"
        row = conn.execute(query, [conn.info.backend_pid]).fetchone()
        return int(row[0]) if row else 0


def test_pid_file_is_not_believed(formatted: Path) -> None:
    """A pid file that says ready and names a live stranger does not count as running."""
    stranger = subprocess.Popen(["sleep", "60"], cwd=formatted / "pg")
    try:
        lines = [stranger.pid, formatted / "pg", 0, 0, "", "127.0.0.1", 0, "ready"]
        (formatted / "pg" / "postmaster.pid").write_text("\n".join(map(str, lines)) + "\n")
        assert postgres.process(formatted) is None

        postgres_only(formatted)
        assert marks(formatted) == []

        assert stranger.poll() is None  # it stood in our folder, and is spared
    finally:
        stranger.kill()
        stranger.wait()


def test_postmaster_starts_when_the_dead_one_is_a_zombie(formatted: Path) -> None:
    """Where nobody reaps the killed postmaster (no init in a container) the next start works."""
    # A parent that never waits, as some containers' first process does.
    parent = multiprocessing.get_context("fork").Process(
        target=_start_and_never_reap, args=[formatted]
    )
    parent.start()
    try:
        wait_until(lambda: postgres.process(formatted) is not None, "the postmaster")
        wait_until(
            lambda: postgres.ready(formatted, _pid_in_file(formatted)), "the postmaster's answer"
        )
        dead = _pid_in_file(formatted)
        os.kill(dead, signal.SIGKILL)
        wait_until(lambda: psutil.Process(dead).status() == psutil.STATUS_ZOMBIE, "a zombie")
        assert _pid_in_file(formatted) == dead

        postgres_only(formatted)
        assert marks(formatted) == []
    finally:
        parent.kill()
        parent.join()


def _pid_in_file(place: Path) -> int:
    return int((place / "pg" / "postmaster.pid").read_text().split()[0])


def _start_and_never_reap(place: Path) -> None:
    postgres.up(place, known(place))
    signal.pause()


def test_own_killed_server_is_counted_dead(formatted: Path) -> None:
    """A process that itself started the servers sees them dead after a kill, and can start them."""
    stack = embedded.up()
    assert stack.faults is not None

    stack.faults.kill("kafka")
    assert [server.state for server in embedded.status()] == ["running", "stopped"]
    stack.faults.kill("postgres")
    assert processes.live(formatted / "pg") == []

    stack.faults.start("kafka")
    stack.faults.start("postgres")
    assert_works(embedded.up())
