"""Claims of `Lab` in a real notebook kernel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from handbook.errors import StackError
from handbook.lab import Lab, wait_until
from handbook.lab.database import tooling
from handbook.notebooks import kernels
from handbook.stack import Stack

pytestmark = pytest.mark.stack

OPEN = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from handbook.lab import Lab
lab = Lab("in-a-kernel")
lab.execute("CREATE TABLE t (n int)")
child = lab.start("lab_targets:tick")
child.wait_for("tick")
print(lab.run_id, child.pid)
"""
IN_A_LOOP = """
import asyncio
topic = lab.topic("events")
async with await lab.aconnect() as conn:
    await conn.execute("INSERT INTO t VALUES (1)")
assert asyncio.get_running_loop().is_running()
print(lab.value("SELECT count(*) FROM t"), lab.records("events"))
"""


class Kernel:
    """A kernel as JupyterLab starts it."""

    def __init__(self, folder: Path) -> None:
        self.manager = KernelManager(
            kernel_spec_manager=kernels.ThisPython(), **kernels.over_sockets(folder)
        )
        self.manager.start_kernel(env=kernels.environment(folder))
        self.client: BlockingKernelClient = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def run(self, code: str) -> str:
        """What a cell prints."""
        shown: list[str] = []

        def keep(message: dict[str, dict[str, str]]) -> None:
            shown.append(message["content"].get("text", ""))

        reply = self.client.execute_interactive(code, timeout=60, output_hook=keep)
        assert reply["content"]["status"] == "ok", reply["content"]
        return "".join(shown)


@pytest.fixture
def kernel(stack: Stack) -> Iterator[Kernel]:
    """A kernel that is gone after the test."""
    with kernels.scratch() as folder:  # not pytest's: the path of a socket must be short
        started = Kernel(folder)
        yield started
        started.client.stop_channels()
        started.manager.shutdown_kernel(now=True)


def databases(stack: Stack, run_id: str) -> int:
    """How many databases a run has."""
    with tooling(stack.postgres) as conn:
        query = "SELECT count(*) FROM pg_database WHERE position(%s IN datname) > 0"
        row = conn.execute(query, (run_id,)).fetchone()
    assert row is not None
    return int(row[0])


def test_lab_works_inside_a_running_event_loop_when_in_a_kernel(kernel: Kernel) -> None:
    """Cells of a notebook call topics and records without awaiting, and may await themselves."""
    kernel.run(OPEN)
    assert kernel.run(IN_A_LOOP) == "1 []\n"


def test_nothing_of_a_lab_is_left_when_its_kernel_is_killed(kernel: Kernel, stack: Stack) -> None:
    """After SIGKILL no child lives, and the next lab sweeps database, roles and topics."""
    run_id, pid = kernel.run(OPEN).split()
    assert (databases(stack, run_id), psutil.pid_exists(int(pid))) == (1, True)
    kernel.manager.signal_kernel(9)
    wait_until(lambda: not psutil.pid_exists(int(pid)), what="the end of the child")
    Lab("next").close()
    assert databases(stack, run_id) == 0


def test_a_lab_is_closed_when_its_kernel_is_shut_down(kernel: Kernel, stack: Stack) -> None:
    """Without a last cell the lab is closed as the kernel ends."""
    run_id, pid = kernel.run(OPEN).split()
    kernel.client.shutdown()
    wait_until(lambda: not kernel.manager.is_alive(), what="the end of the kernel")
    wait_until(lambda: databases(stack, run_id) == 0, what="the end of the database")
    assert not psutil.pid_exists(int(pid))


def test_interrupting_a_cell_leaves_the_children_alone(kernel: Kernel) -> None:
    """The interrupt of a cell is for the cell: a relay started earlier goes on."""
    kernel.run(OPEN)
    kernel.client.execute("import time; print('asleep', flush=True); time.sleep(60)")
    wait_until(lambda: kernel.client.get_iopub_msg(timeout=10)["msg_type"] == "stream")
    kernel.manager.interrupt_kernel()
    reply = kernel.client.get_shell_msg(timeout=10)
    assert reply["content"]["ename"] == "KeyboardInterrupt"
    assert kernel.run("n = len(child.reached); child.wait_for('tick', n + 5); print(child.alive)")


def test_the_message_says_what_to_do_when_the_stack_cannot_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A lab without a stack is one clear error."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://kim@127.0.0.1:1/postgres")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    with pytest.raises(StackError, match=r"127\.0\.0\.1[\s\S]*next:"):
        Lab("13-outbox")
