"""The embedded stack's life: up, up again, down, wipe; two at once; three brokers."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest
from own_stack import (
    assert_works,
    copy_of,
    known,
    marked,
    marks,
    own_home,
    run_cli,
    secrets_of,
    servers,
    start_cli,
)
from scratch import wait_until

from handbook.errors import StackError, UsageError
from handbook.stack import connect, embedded, kafka, postgres, processes, state

pytestmark = pytest.mark.stack


def test_data_and_addresses_stay_when_stack_goes_down_and_up(formatted: Path) -> None:
    """A second start finds the same ports, passwords and acknowledged rows."""
    first = embedded.up()
    marked(formatted, "kept")

    assert embedded.down()
    assert servers(formatted) == []
    second = embedded.up()

    assert (second.postgres, second.kafka) == (first.postgres, first.kafka)
    assert marks(formatted) == ["kept"]
    assert_works(second)


def test_up_takes_a_tenth_of_a_second_when_all_runs(formatted: Path) -> None:
    """A start that has nothing to do costs at most 0.1 s and starts no process."""
    embedded.up()
    before = [process.pid for process in servers(formatted)]

    times = []
    for _ in range(5):
        began = time.perf_counter()
        embedded.up()
        times.append(time.perf_counter() - began)

    assert min(times) <= 0.1
    assert {process.pid for process in servers(formatted)} <= set(before)


def test_connect_starts_embedded_servers_when_nothing_else_is_named(
    formatted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without addresses in the environment and without Compose, `connect` means embedded."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)

    stack = connect()

    assert (stack.kind, stack.brokers) == ("embedded", 1)
    assert_works(stack)


def test_everything_listens_on_loopback_only(formatted: Path) -> None:
    """No server of the stack can be reached from another machine."""
    embedded.up()

    listening = {
        connection.laddr.ip
        for process in servers(formatted)
        for connection in process.net_connections("inet")
        if connection.status == "LISTEN"
    }

    assert {address.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}


def test_up_starts_only_what_is_missing_when_one_server_died(formatted: Path) -> None:
    """A killed PostgreSQL comes back; the broker that ran goes on running."""
    stack = embedded.up()
    assert stack.faults is not None
    broker = kafka.process(formatted, known(formatted).nodes[0])
    stack.faults.kill("postgres")

    assert_works(embedded.up())

    assert kafka.process(formatted, known(formatted).nodes[0]) == broker


def test_up_wakes_servers_when_they_are_paused(formatted: Path) -> None:
    """A start heals a stopped (SIGSTOP) server instead of waiting for it."""
    stack = embedded.up()
    assert stack.faults is not None
    stack.faults.pause("postgres")
    stack.faults.pause("kafka")
    assert [server.state for server in embedded.status()] == ["paused", "paused"]

    assert_works(embedded.up())


def test_down_ends_paused_servers_without_waiting(formatted: Path) -> None:
    """A stopped (SIGSTOP) server hears the request to end."""
    stack = embedded.up()
    assert stack.faults is not None
    stack.faults.pause("postgres")
    stack.faults.pause("kafka")

    embedded.down()

    assert servers(formatted) == []


def test_up_starts_again_when_servers_were_being_stopped(formatted: Path) -> None:
    """A server that somebody asked to end is waited for, then started anew."""
    embedded.up()
    postmaster = postgres.process(formatted)
    broker = kafka.process(formatted, known(formatted).nodes[0])
    assert postmaster is not None
    assert broker is not None
    postmaster.send_signal(signal.SIGINT)
    broker.send_signal(signal.SIGTERM)
    wait_until(
        lambda: not kafka.brokers(known(formatted).nodes[0].port), "the broker's last answer"
    )

    assert_works(embedded.up())


def test_second_up_waits_and_says_so_when_another_is_at_work(formatted: Path) -> None:
    """Two starts at once give one stack; the later one names whom it waits for."""
    said: list[str] = []
    with state.locked(formatted / "lock"):
        second = threading.Thread(target=lambda: embedded.up(say=said.append))
        second.start()
        wait_until(lambda: bool(said), "the second to say that it waits")
        assert servers(formatted) == []
    second.join(60)

    assert said[0] == f"waiting: another handbook command (pid {os.getpid()}) is at work here"
    assert_works(embedded.up())


def test_parallel_ups_give_one_stack(home: Path) -> None:
    """Three starts at the same moment all succeed and start each server once."""
    started = [start_cli("up") for _ in range(3)]
    outputs = [process.communicate(timeout=100) for process in started]

    assert [process.returncode for process in started] == [0, 0, 0], outputs
    assert len({output for output, _ in outputs}) == 1
    assert len([p for p in servers(home) if p.name() == "java"]) == 1


def test_lock_is_free_when_its_holder_was_killed(home: Path) -> None:
    """A killed command does not block the next one."""
    holder = start_cli("up")
    wait_until((home / state.NAME).exists, "the first up to hold the lock")
    holder.kill()
    holder.communicate()

    assert_works(embedded.up())


def test_waiting_up_locks_the_new_file_when_a_wipe_deleted_the_old(home: Path) -> None:
    """A lock file that was deleted under a waiting command locks nobody in."""
    home.mkdir(mode=0o755)
    entered: list[bool] = []

    def enter() -> None:
        with state.locked(home / "lock", lambda _: entered.append(False)):
            entered.append((home / "lock").exists())

    with state.locked(home / "lock"):
        waiting = threading.Thread(target=enter)
        waiting.start()
        wait_until(lambda: bool(entered), "the other to wait")
        (home / "lock").unlink()
    waiting.join(10)

    assert entered == [False, True]


def test_two_checkouts_run_side_by_side(
    formatted: Path, template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each checkout has its own ports and data; taking one down leaves the other alone."""
    embedded.up()
    with own_home() as other:
        copy_of(template, other)
        monkeypatch.setenv("HANDBOOK_STACK_HOME", str(other))
        assert_works(embedded.up())
        assert not set(known(formatted).ports()) & set(known(other).ports())
        embedded.wipe()
    monkeypatch.setenv("HANDBOOK_STACK_HOME", str(formatted))

    assert_works(embedded.up())


def test_ports_of_a_checkout_that_is_down_are_not_given_away(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new stack keeps off ports that another checkout of this user chose, running or not."""
    home.mkdir(mode=0o755)
    chosen = state.create(home, brokers=3).ports()
    monkeypatch.setattr(state, "PORTS", range(min(chosen), max(chosen) + 20))

    with own_home() as other:
        other.mkdir(parents=True)
        assert not set(state.create(other, brokers=1).ports()) & set(chosen)


def test_three_brokers_form_one_cluster_and_survive_the_death_of_one(home: Path) -> None:
    """With --brokers 3 each knows all; a killed one comes back under the same address."""
    stack = embedded.up(brokers=3)
    assert_works(stack)
    assert stack.faults is not None
    stack.faults.kill("kafka", node=2)
    nodes = known(home).nodes
    wait_until(lambda: kafka.brokers(nodes[0].port) == {1, 3}, "the others to notice")

    stack.faults.start("kafka", node=2)

    wait_until(lambda: kafka.brokers(nodes[0].port) == {1, 2, 3}, "the others to notice")
    assert_works(embedded.up())  # without a number: as it was made
    assert kafka.properties(nodes, nodes[0]).count("min.insync.replicas=2\n") == 1


def test_number_of_brokers_is_refused_when_the_stack_has_another(home: Path) -> None:
    """A formatted stack does not change its size: exit code 2, and the next step is to wipe."""
    home.mkdir(mode=0o755)
    state.create(home, brokers=1)

    with pytest.raises(UsageError) as caught:
        embedded.up(brokers=3)

    assert caught.value.what == "This checkout's stack was made with 1 broker(s), not 3."
    assert "handbook wipe" in caught.value.next_step
    assert run_cli("up", "--brokers", "3").returncode == 2


def test_wipe_leaves_nothing_and_next_up_begins_anew(formatted: Path) -> None:
    """After a wipe no process, file or port claim is left; passwords and ports are new."""
    embedded.up()
    before = secrets_of(formatted)

    assert embedded.wipe()

    assert not formatted.exists()
    assert servers(formatted) == []
    assert not embedded.wipe()
    assert embedded.status() == []
    embedded.up()
    assert not set(before) & set(secrets_of(formatted))


def test_stack_works_when_path_has_hangul_comma_and_space(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkout may lie in any folder, also one of 180 bytes and under a plain C locale."""
    odd = home.parent / ("실습, 하나 = #1 " + "x" * 120)
    monkeypatch.setenv("HANDBOOK_STACK_HOME", str(odd))
    monkeypatch.setenv("LC_ALL", "C")

    assert_works(embedded.up())
    embedded.wipe()


def test_stack_moves_with_its_folder(formatted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout that was moved while its stack was down starts with its data."""
    embedded.up()
    marked(formatted, "moved")
    embedded.down()
    moved = formatted.with_name("moved")
    formatted.rename(moved)
    monkeypatch.setenv("HANDBOOK_STACK_HOME", str(moved))

    assert_works(embedded.up())
    assert marks(moved) == ["moved"]
    embedded.wipe()


def test_servers_do_not_hear_settings_meant_for_the_readers_own(
    formatted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PG*, JAVA_TOOL_OPTIONS and the like of the reader's shell change nothing here."""
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    monkeypatch.setenv("PGOPTIONS", "-c no_such_setting=1")
    monkeypatch.setenv("PGDATA", "/nonexistent")
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-XX:NoSuchOption=1")
    monkeypatch.setenv("CLASSPATH", "/nonexistent")
    monkeypatch.setenv("TZ", "Asia/Seoul")

    embedded.up()

    monkeypatch.delenv("PGOPTIONS")  # psycopg's own business; sslmode is in the DSN
    assert_works(embedded.up())


def test_message_names_the_repair_when_state_file_is_damaged(home: Path) -> None:
    """A state file cut in half is one clear error, and a wipe mends it."""
    home.mkdir(mode=0o755)
    state.create(home, brokers=1)
    whole = (home / state.NAME).read_text()
    (home / state.NAME).write_text(whole[: len(whole) // 2])

    with pytest.raises(StackError) as caught:
        embedded.up()

    assert caught.value.what == f"{home / state.NAME} is damaged."
    assert "handbook wipe" in caught.value.next_step
    assert embedded.wipe()


def test_message_names_the_repair_when_data_is_of_another_postgres(formatted: Path) -> None:
    """Data of an older major version is not touched; the message offers the wipe."""
    (formatted / "pg" / "PG_VERSION").write_text("17\n")

    with pytest.raises(StackError, match="was made by PostgreSQL 17"):
        embedded.up()

    assert servers(formatted) == []


def test_log_is_kept_once_when_it_grew_large(
    formatted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logs do not fill the disk: a large one is set aside at the next start."""
    monkeypatch.setattr(processes, "LOG_LIMIT", 100)
    before = postgres.log(formatted).read_text()

    embedded.up()

    assert (formatted / "postgres.old").read_text() == before
    assert "ready to accept connections" in postgres.log(formatted).read_text()
