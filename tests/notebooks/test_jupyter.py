"""Claims of `handbook lab NAME`: a real JupyterLab, for this reader only."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import lab_samples as samples
import psutil
import pytest

from handbook import paths
from handbook.lab import wait_until
from handbook.stack import Stack

pytestmark = pytest.mark.stack

SERVE = """
import sys
from pathlib import Path
from handbook import cli, paths
paths.NOTEBOOKS = Path(sys.argv.pop())
cli.main()
"""


class Server:
    """`handbook lab` in a process of its own, its output in a file."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "log"
        with self.log.open("w") as out:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-c", SERVE, "lab", samples.LAB, "--no-browser"),
                    str(folder / "notebooks"),
                ],
                cwd=paths.ROOT,
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "HOME": str(folder)},
            )

    def address(self) -> str:
        """The address that it prints."""

        def printed() -> str | None:
            assert self.process.poll() is None, self.log.read_text()
            found = re.search(r"http://127\.0\.0\.1:\d+/lab/\S+token=\w+", self.log.read_text())
            return found[0] if found else None

        address = wait_until(printed, deadline=60, what="the address", seen=self.log.read_text)
        assert address is not None
        return address


@pytest.fixture
def server(tmp_path: Path, stack: Stack) -> Iterator[Server]:
    """JupyterLab on the sample."""
    samples.write(tmp_path / "notebooks")
    started = Server(tmp_path)
    yield started
    started.process.kill()
    started.process.wait()


def get(address: str) -> int:
    """The status of an answer."""
    try:
        with urllib.request.urlopen(address, timeout=20) as answer:  # noqa: S310 - our own http
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_lab_opens_for_the_reader_only_and_ends_cleanly_when_interrupted(server: Server) -> None:
    """Loopback, a token that no process list shows, the notebook open; Ctrl-C leaves nothing."""
    address = server.address()
    assert f"/lab/tree/{samples.LAB}.ipynb" in address
    api, token = address.split("/lab/")[0] + "/api/contents", address.split("token=")[1]
    wait_until(lambda: get(f"{api}?token={token}") == 200, what="an answer")
    assert get(api) == 403
    process = psutil.Process(server.process.pid)
    assert token not in " ".join(process.cmdline())
    listening = {c.laddr.ip for c in process.net_connections("tcp") if c.status == "LISTEN"}
    assert listening == {"127.0.0.1"}
    children = process.children(recursive=True)
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(20) == 0
    assert [child for child in children if child.is_running()] == []
