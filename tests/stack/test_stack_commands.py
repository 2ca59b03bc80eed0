"""`handbook up | down | status | logs | wipe` as a reader types them."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
from pathlib import Path

import pytest
from own_stack import CLI, known, run_cli, start_cli
from scratch import wait_until

from handbook.stack import postgres, settings

pytestmark = pytest.mark.stack


def test_life_of_a_stack_on_the_command_line(formatted: Path) -> None:
    """Facts go to stdout, progress to stderr; status tells by its exit code whether all run."""
    ports = known(formatted).ports()
    addresses = {
        "kind": "embedded",
        "postgres": {
            "host": "127.0.0.1",
            "port": ports[0],
            "user": "handbook",
            "database": "postgres",
        },
        "kafka": {"bootstrap": f"127.0.0.1:{ports[1]}", "brokers": 1},
    }

    up = run_cli("up", "--json")
    assert (up.returncode, json.loads(up.stdout)) == (0, addresses)
    assert up.stderr.startswith("starting postgres, kafka1\n")
    again = run_cli("up", "--json")
    assert (again.returncode, again.stdout, again.stderr) == (0, up.stdout, "")

    status = run_cli("status", "--json")
    facts = json.loads(status.stdout)
    assert (status.returncode, facts["running"]) == (0, True)
    shown = [(s["name"], s["running"], s["port"], s["version"]) for s in facts["servers"]]
    assert shown == [
        ("postgres", True, ports[0], postgres.version()),
        ("kafka1", True, ports[1], settings.KAFKA_VERSION),
    ]
    assert all(s["pid"] > 1 and 5 < s["memory_mib"] < 400 for s in facts["servers"])
    assert re.search(rf"^kafka1 +4\.\S+ +running +{ports[1]} ", run_cli("status").stdout, re.M)

    os.kill(facts["servers"][0]["pid"], signal.SIGKILL)
    wait_until(lambda: postgres.process(formatted) is None, "PostgreSQL's end")
    partly = run_cli("status", "--json")
    assert (partly.returncode, json.loads(partly.stdout)["running"]) == (1, False)

    assert (run_cli("down").stdout, run_cli("down").stdout) == (
        "stopped\n",
        "nothing was running\n",
    )
    assert run_cli("status").returncode == 1


def test_logs_show_each_server_and_follow(formatted: Path) -> None:
    """Logs name their server, stop at -n lines, keep to one service, and follow until Ctrl-C."""
    (formatted / "postgres.log").write_text("one\ntwo\nthree\n")
    (formatted / "kafka1.log").write_text("uno\n")

    assert run_cli("logs", "-n", "2").stdout == "kafka1 | uno\npostgres | two\npostgres | three\n"
    assert run_cli("logs", "kafka").stdout == "kafka1 | uno\n"

    following = start_cli("logs", "postgres", "-n", "1", "-f")
    assert following.stdout is not None
    assert following.stdout.readline() == "postgres | three\n"
    with (formatted / "postgres.log").open("a") as log:
        log.write("four\n")
    assert following.stdout.readline() == "postgres | four\n"
    following.send_signal(signal.SIGINT)
    _, said = following.communicate(timeout=10)
    assert "Traceback" not in said


def test_commands_say_what_to_do_when_there_is_no_stack(home: Path) -> None:
    """Before the first start every command ends with a clear word and its exit code."""
    logs = run_cli("logs")
    assert (logs.returncode, logs.stderr) == (
        3,
        "error: There is no log: nothing was started here yet.\n  next: run `handbook up`\n",
    )
    status = run_cli("status")
    assert (status.returncode, status.stdout) == (
        1,
        "no stack in this checkout yet: `handbook up` makes one\n",
    )
    assert json.loads(run_cli("status", "--json").stdout) == {"running": False, "servers": []}
    assert run_cli("down").stdout == "nothing was running\n"
    assert run_cli("wipe", "--yes").stdout == "there was nothing to delete\n"
    assert not home.exists()


def test_wipe_asks_before_it_deletes(formatted: Path) -> None:
    """Nothing is deleted without a yes: asked for in a terminal, refused elsewhere."""
    refused = run_cli("wipe")
    assert (refused.returncode, "handbook wipe --yes" in refused.stderr) == (2, True)
    assert formatted.exists()

    assert answered(b"n\n") != 0
    assert formatted.exists()
    assert answered(b"y\n") == 0
    assert not formatted.exists()


def answered(answer: bytes) -> int:
    """Exit code of `wipe` in a terminal where this is typed."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([*CLI, "wipe"], stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.write(ours, answer)
    code = process.wait(60)
    os.close(ours)
    return code


@pytest.mark.parametrize(
    "arguments", [("up", "--brokers", "2"), ("logs", "redis"), ("logs", "-n", "-1")]
)
def test_wrong_request_is_refused(home: Path, arguments: tuple[str, ...]) -> None:
    """A request that cannot be is exit code 2 and starts nothing."""
    done = run_cli(*arguments)

    assert done.returncode == 2
    assert not home.exists()
