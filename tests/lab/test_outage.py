"""Claims of a lab whose servers are killed: clear errors, and it goes on when they are back."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from handbook.errors import StackError
from handbook.lab import Lab, kafka
from handbook.stack import Stack, connect, embedded

pytestmark = pytest.mark.stack


@pytest.fixture
def own_stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """A stack that a test may break."""
    folder = Path(tempfile.mkdtemp(prefix="handbook-")).resolve()
    folder.chmod(0o755)  # PostgreSQL does not run as root: its user must get in
    with monkeypatch.context() as patch:
        patch.setenv("HANDBOOK_STACK_HOME", str(folder / "stack"))
        yield connect()
        embedded.wipe()
    shutil.rmtree(folder)


def test_a_lab_goes_on_when_its_servers_were_killed_and_are_back(
    own_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile each question is one clear error; nothing that was stored is lost."""
    lab = Lab("outage")
    lab.execute("CREATE TABLE t AS SELECT 42 AS n")
    lab.topic("events")
    assert own_stack.faults is not None

    own_stack.faults.kill("postgres")
    for _ in range(2):
        with pytest.raises(StackError, match=r"PostgreSQL at .* does not answer[\s\S]*handbook up"):
            lab.value("SELECT n FROM t")
    own_stack.faults.start("postgres")
    assert lab.value("SELECT n FROM t") == 42

    own_stack.faults.kill("kafka")
    with monkeypatch.context() as impatient:
        impatient.setattr(kafka, "LIMIT", 2.0)
        with pytest.raises(StackError, match=r"Kafka at .* did not create topic[\s\S]*handbook up"):
            lab.topic("more")
    own_stack.faults.start("kafka")
    assert lab.records("events") == []
    assert lab.topic("more").endswith(".more")
    lab.close()


def test_leftovers_are_swept_later_when_a_lab_ends_without_servers(own_stack: Stack) -> None:
    """`close` says that the servers are gone and ends the children; the next lab sweeps."""
    lab = Lab("outage")
    lab.execute("CREATE TABLE t (n int)")
    child = lab.start("lab_targets:tick")
    child.wait_for("tick")
    embedded.down()
    with pytest.raises(StackError, match="does not answer"):
        lab.close()
    assert not psutil.pid_exists(child.pid)

    following = Lab("next")
    following.close()

    names = "SELECT count(*) FROM pg_database WHERE datname LIKE 'lab%%'"
    check = Lab("check")
    assert check.value(names) == 1
    check.close()
