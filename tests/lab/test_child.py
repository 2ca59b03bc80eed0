"""Claims of `handbook.lab.child`: real processes, real signals."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from handbook.errors import UsageError
from handbook.lab import Child, Trace, wait_until
from handbook.lab.child import ChildFailedError
from handbook.lab.waiting import DeadlinePassedError


class Start:
    """Starts children and kills what a test leaves."""

    def __init__(self) -> None:
        self.children: list[Child] = []

    def __call__(
        self, function: str, kwargs: dict[str, Any] | None = None, **options: Any
    ) -> Child:
        """Run a function of `lab_targets`."""
        self.children.append(Child(f"lab_targets:{function}", kwargs, **options))
        return self.children[-1]


@pytest.fixture
def start() -> Iterator[Start]:
    """A way to start children that end with the test."""
    started = Start()
    yield started
    for child in started.children:
        child.kill()


def test_child_is_killed_by_sigkill_when_it_stands_at_a_named_point(start: Start) -> None:
    """A child reports its points, stands still at the n-th arrival, and dies of signal 9 there."""
    child = start("steps", {"count": 5}, stop_at="step", stop_after=3)
    child.wait_for("step", count=3)
    assert child.alive
    child.kill()
    assert (child.returncode, child.alive) == (-9, False)
    assert child.reached == ["step", "step", "step"]
    assert not psutil.pid_exists(child.pid)


def test_child_ends_by_itself_when_nothing_stops_it(start: Start) -> None:
    """`wait` returns the exit code, and all points are known then."""
    child = start("steps", {"count": 2})
    assert child.wait() == 0
    assert child.reached == ["step", "step", "done"]


@pytest.mark.parametrize("function", ["serve", "serve_sync"])
def test_child_finishes_its_work_when_stopped(start: Start, function: str) -> None:
    """SIGTERM sets the `stop` of an async or a plain function, which then ends in order."""
    child = start(function)
    child.wait_for("serving")
    child.stop()
    assert (child.returncode, child.reached) == (0, ["serving", "finished"])


def test_child_ends_by_sigterm_when_it_takes_no_stop(start: Start) -> None:
    """Without a `stop` parameter SIGTERM does what it does to any process."""
    child = start("tick")
    child.wait_for("tick")
    child.stop()
    assert child.returncode == -signal.SIGTERM


def test_child_is_killed_when_it_does_not_stop_in_time(start: Start) -> None:
    """A child that ignores `stop` is killed at the deadline, and that is said."""
    child = start("deaf")
    child.wait_for("serving")
    with pytest.raises(DeadlinePassedError, match=r"deaf to end; last seen: \['serving'\]"):
        child.stop(deadline=0.2)
    assert child.returncode == -9


def test_child_runs_again_without_the_stop_when_restarted(start: Start) -> None:
    """After a restart it is a new process with points of its own that runs through."""
    child = start("steps", {"count": 2}, stop_at="step")
    child.wait_for("step")
    child.kill()
    first = child.pid
    child.restart()
    assert child.wait() == 0
    assert child.pid != first
    assert child.reached == ["step", "step", "done"]


def test_child_stands_still_when_paused_and_goes_on_when_resumed(start: Start) -> None:
    """Between `pause` and `resume` no point is reached."""
    child = start("tick")
    child.wait_for("tick", count=3)
    child.pause()
    assert psutil.Process(child.pid).status() == psutil.STATUS_STOPPED
    before = len(child.reached)
    child.resume()
    child.wait_for("tick", count=before + 5)
    child.pause()
    child.stop()
    assert child.returncode == -signal.SIGTERM


def test_wait_for_fails_at_once_with_the_last_lines_when_the_child_died(start: Start) -> None:
    """A traceback of the child is in the message, and nobody waits for the deadline."""
    child = start("fail")
    with pytest.raises(ChildFailedError, match=r"code 1 before it came to `end`[\s\S]*no such"):
        child.wait_for("end", deadline=60)
    with pytest.raises(ChildFailedError, match="ValueError: no such course"):
        child.wait()


def test_wait_for_names_the_points_when_the_deadline_passes(start: Start) -> None:
    """The message says which points came instead."""
    child = start("serve")
    child.wait_for("serving")
    with pytest.raises(DeadlinePassedError, match=r"`ready`; last seen: \['serving'\]"):
        child.wait_for("ready", deadline=0.05)


def test_output_is_whole_when_read_while_the_child_writes(start: Start) -> None:
    """Looking at the output does not move the place where the child writes."""
    child = start("chatter", {"lines": 200})
    wait_until(lambda: len(child.output) > 0)
    for _ in range(20):
        assert child.output.startswith("line 0\n")
    child.wait()
    assert child.output.splitlines() == [*(f"line {n}" for n in range(200)), "over"]


def test_points_and_kill_are_recorded_when_the_legend_knows_them(start: Start) -> None:
    """A trace holds the known points of the child in order, and its crash after them."""
    trace = Trace("13-outbox", "crash")
    picture: dict[str, Any] = {
        "trace": trace,
        "lane": "릴레이",
        "legend": {"step": {"kind": "send", "label": "보냄", "msg": "m1"}},
    }
    child = start("steps", {"count": 3}, stop_at="step", stop_after=2, **picture)
    child.wait_for("step", count=2)
    trace.add("Kafka", "recv", "받음", msg="m1")
    child.kill()
    assert [(e.lane, e.kind, e.label) for e in trace.events] == [
        ("릴레이", "send", "보냄"),
        ("릴레이", "send", "보냄"),
        ("Kafka", "recv", "받음"),
        ("릴레이", "crash", "SIGKILL"),
    ]


@pytest.mark.parametrize(
    ("target", "kwargs", "message"),
    [
        ("lab_targets:serv", {}, "did you mean `lab_targets:serve`"),
        ("no_such_module:run", {}, "there is no `no_such_module:run`"),
        ("lab_targets", {}, "write module:function"),
        ("lab_targets:steps", {}, "missing a required argument: 'count'"),
        ("lab_targets:steps", {"count": 1, "size": 2}, "unexpected keyword argument 'size'"),
        ("lab_targets:steps", {"count": object()}, "is no JSON"),
    ],
)
def test_nothing_is_started_when_the_target_cannot_be_called(
    target: str, kwargs: dict[str, Any], message: str
) -> None:
    """An unknown function or a wrong argument is refused before a process exists."""
    before = psutil.Process().children()
    with pytest.raises(UsageError) as refused:
        Child(target, kwargs)
    assert message in str(refused.value)
    assert psutil.Process().children() == before


PARENT = """
import sys, time
sys.path.insert(0, {here!r})
from handbook.lab import Child
ticking, paused = Child("lab_targets:tick"), Child("lab_targets:tick")
ticking.wait_for("tick"), paused.wait_for("tick")
paused.pause()
print(ticking.pid, paused.pid, flush=True)
time.sleep(60)
"""


def test_child_dies_when_its_parent_is_killed() -> None:
    """After SIGKILL of the parent no child is left, not even a paused one."""
    code = PARENT.format(here=str(Path(__file__).parent))
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    with parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert [psutil.pid_exists(pid) for pid in pids] == [True, True]
        parent.kill()
    wait_until(lambda: not any(alive(pid) for pid in pids), what=f"the end of {pids}")


def alive(pid: int) -> bool:
    """True for a running process; an orphan that nobody reaps is dead all the same."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


def test_arguments_are_not_visible_when_a_child_runs(start: Start) -> None:
    """A password among the arguments is not in the command line."""
    child = start("serve")
    child.wait_for("serving")
    secret = start("chatter", {"lines": 31337}, stop_at="printed")
    secret.wait_for("printed")
    assert not any("31337" in word for word in psutil.Process(secret.pid).cmdline())
