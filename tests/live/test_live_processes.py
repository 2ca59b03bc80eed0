"""Kernels, and what labs start in them, end with the server, however it ends."""

from __future__ import annotations

import signal
import tempfile
from pathlib import Path

import pytest
from raw import Client
from serving import Serve

from handbook.lab import wait_until
from handbook.live.server import PREFIX
from handbook.site.project import Project


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_is_left_when_the_server_ends(
    served: Serve, built: Project, number: signal.Signals
) -> None:
    """After Ctrl-C and SIGTERM at once, after SIGKILL as soon as the kernel notices."""
    server = served(built)
    Client(server).greet().kernel()
    family = server.family()
    assert family

    server.process.send_signal(number)

    server.process.communicate(timeout=30)
    limit = 20 if number == signal.SIGKILL else 1
    wait_until(lambda: not any(p.is_running() for p in family), what="their end", deadline=limit)
    assert server.process.returncode == (-number if number == signal.SIGKILL else 0)


def test_folder_of_a_killed_server_is_removed_when_the_next_one_starts(
    served: Serve, built: Project
) -> None:
    """Connection files hold keys; they do not pile up."""
    first = served(built)
    Client(first).greet().kernel()
    first.process.kill()
    first.process.wait()
    left = list(Path(tempfile.gettempdir()).glob(f"{PREFIX}{first.process.pid}-*"))
    assert [oct(folder.stat().st_mode & 0o777) for folder in left] == ["0o700"]

    second = served(built)

    assert not left[0].exists()
    second.process.terminate()
    second.process.communicate(timeout=30)
    assert not list(Path(tempfile.gettempdir()).glob(f"{PREFIX}{second.process.pid}-*"))
