"""`handbook serve` as a reader runs it: a process, signals, the last line."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from handbook.lab import wait_until
from handbook.site.project import Project

# The command works on its own checkout; the small project is put in its place.
PROGRAM = """
import sys, pathlib
from handbook import paths
paths.ROOT = pathlib.Path(sys.argv.pop(1))
from handbook.cli import main
main()
"""
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts `handbook serve` for a project; ends what is left."""
    running: list[subprocess.Popen[str]] = []

    def run(project: Project, *options: str, **env: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(project.root), "serve", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **env},
        )
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.communicate()


def url(process: subprocess.Popen[str]) -> str:
    """Wait for the line with the address."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("문서: "):
            return line.removeprefix("문서: ").strip()
    raise AssertionError(process.communicate()[1])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_builds_serves_and_ends_cleanly_when_signalled(
    project: Project, start: Start, number: signal.Signals
) -> None:
    """A missing site is built, the address is the last line, Ctrl-C and SIGTERM end it with 0."""
    process = start(project, "--no-stack", "--port", "0")
    with urllib.request.urlopen(url(process) + "labs/01-demo/", timeout=10) as page:  # noqa: S310 (our server)
        assert "시험용 실습" in page.read().decode()
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, "")
    assert "not built yet" in err
    assert "Traceback" not in err


def test_serve_does_not_build_when_the_site_is_fresh(project: Project, start: Start) -> None:
    """The second start is quick because nothing changed."""
    for expected in (True, False):
        process = start(project, "--no-stack", "--port", "0")
        url(process)
        process.terminate()
        assert ("building the site" in process.communicate(timeout=20)[1]) is expected


def test_serve_stops_when_its_port_is_taken(project: Project, start: Start) -> None:
    """A busy port ends in exit code 3 and one message, before anything is built."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        process = start(project, "--no-stack", "--port", str(port))
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (3, "")
    assert f"port {port} is taken" in err
    assert "Traceback" not in err
    assert not project.site.exists()


def test_serve_stops_when_a_page_is_broken(project: Project, start: Start) -> None:
    """A site that does not build is not served: exit code 1 and the place."""
    (project.docs / "index.md").write_text("# A\n\n[x](gone.md)\n", "utf-8")
    process = start(project, "--no-stack", "--port", "0")
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "gone.md" in err
    assert "Traceback" not in err


def test_serve_still_shows_pages_when_the_stack_cannot_start(
    project: Project, start: Start
) -> None:
    """An unreachable database is reported with its next step; reading needs no database."""
    process = start(
        project,
        "--port",
        "0",
        DATABASE_URL="postgresql://nobody@127.0.0.1:1/none",
        KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1",
    )
    seen = ErrorLines(process)
    with urllib.request.urlopen(url(process), timeout=10) as page:  # noqa: S310 (our server)
        assert page.status == 200
    process.terminate()
    process.wait(timeout=20)
    text = seen.text()
    assert "error: " in text
    assert "the pages can be read" in text
    assert "Traceback" not in text


class ErrorLines:
    """Reads stderr beside stdout, so that neither pipe fills up."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.lines: list[str] = []
        self.process = process
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.lines.extend(self.process.stderr)

    def text(self) -> str:
        """Everything, once the process has ended."""
        self.thread.join(10)
        return "".join(self.lines)


def test_project_of_the_command_is_this_checkout() -> None:
    """Without a test's replacement the command works on the checkout it is installed from."""
    assert Project().root == Path(__file__).resolve().parents[2]


def test_page_follows_its_source_when_the_site_is_watched(start: Start, project: Project) -> None:
    """A change shows; what cannot be built is told of, and the page stays until it is mended."""
    process = start(project, "--no-stack", "--watch", "--port", "0")
    address = url(process) + "events/outbox/"
    source = project.docs / "events/outbox.md"
    whole = source.read_text("utf-8")
    said: list[str] = []
    assert process.stderr is not None
    listening = threading.Thread(target=said.extend, args=(process.stderr,), daemon=True)
    listening.start()

    def shows(text: str) -> bool:
        with urllib.request.urlopen(address, timeout=10) as answer:  # noqa: S310 (our server)
            return text in answer.read().decode()

    source.write_text(whole + "\n처음 고친 문장입니다.\n", "utf-8")
    wait_until(lambda: shows("처음 고친"), what="the changed page", deadline=20)
    source.write_text(whole + "\n/// figure | steps gone.json\n그림\n///\n", "utf-8")
    wait_until(lambda: any("gone.json" in line for line in said), what="the error", deadline=20)
    assert shows("처음 고친")
    source.write_text(whole + "\n다시 고친 문장입니다.\n", "utf-8")
    wait_until(lambda: shows("다시 고친"), what="the mended page", deadline=20)
