"""Kernels, and what labs start in them, end with the server, however it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from raw import Client

from handbook.lab import wait_until
from handbook.live.server import PREFIX, LiveServer
from handbook.site.project import Project

# As `handbook serve` does it, without a stack: signals come to the thread that waits.
PROGRAM = """
import pathlib, sys
from handbook import paths
paths.ROOT = pathlib.Path(sys.argv[1])
from handbook.site import serve
from handbook.site.project import Project
serve._start_stack = lambda say: None
serve.serve(Project(paths.ROOT), port=0, with_stack=True, watch=False, open_browser=False,
            say=lambda line: None, show=lambda line: print(line, flush=True))
"""


@dataclass
class Served:
    """A running `handbook serve`, spoken to through its printed address."""

    process: subprocess.Popen[str]
    client: Client

    def family(self) -> list[psutil.Process]:
        """Everything it has started."""
        return psutil.Process(self.process.pid).children(recursive=True)


class Address(LiveServer):
    """A server in another process, known by its address."""

    def __init__(self, url: str) -> None:
        host, _, self.token = url.removeprefix("http://").partition("/_live/open?token=")
        self.place = type("Place", (), {"host": host, "port": int(host.partition(":")[2])})()


@pytest.fixture
def served(built: Project) -> Iterator[Callable[[], Served]]:
    """Starts servers; ends what is left of them."""
    running: list[subprocess.Popen[str]] = []

    def start() -> Served:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(built.root)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("문서: "):
                break
        else:
            raise AssertionError(process.communicate()[1])
        return Served(process, Client(Address(line.removeprefix("문서: ").strip())).greet())

    yield start
    for process in running:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_is_left_when_the_server_ends(
    served: Callable[[], Served], number: signal.Signals
) -> None:
    """After Ctrl-C and SIGTERM at once, after SIGKILL as soon as the kernel notices."""
    server = served()
    server.client.kernel()
    family = server.family()
    assert family

    server.process.send_signal(number)

    server.process.communicate(timeout=30)
    limit = 20 if number == signal.SIGKILL else 1
    wait_until(lambda: not any(p.is_running() for p in family), what="their end", deadline=limit)
    assert server.process.returncode == (-number if number == signal.SIGKILL else 0)


def test_folder_of_a_killed_server_is_removed_when_the_next_one_starts(
    served: Callable[[], Served],
) -> None:
    """Connection files hold keys; they do not pile up."""
    first = served()
    first.client.kernel()
    first.process.kill()
    first.process.wait()
    left = list(Path(tempfile.gettempdir()).glob(f"{PREFIX}{first.process.pid}-*"))
    assert [oct(folder.stat().st_mode & 0o777) for folder in left] == ["0o700"]

    second = served()

    assert not left[0].exists()
    second.process.terminate()
    second.process.communicate(timeout=30)
    assert not list(Path(tempfile.gettempdir()).glob(f"{PREFIX}{second.process.pid}-*"))
