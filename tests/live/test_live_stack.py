"""The reader breaks servers from the page: a PostgreSQL of its own, and a lab's process."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator
from raw import Client
from reader import Reader

from handbook.errors import UsageError
from handbook.lab import Child, wait_until
from handbook.live import stack_bar
from handbook.live.server import LiveServer
from handbook.stack import embedded

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A stack of our own to break, in the place of the tests' common one."""
    folder = Path(tempfile.mkdtemp(prefix="handbook-live-stack-")).resolve()
    folder.chmod(0o755)
    place = folder / "stack"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HANDBOOK_STACK_HOME", str(place))
        patch.delenv("DATABASE_URL", raising=False)
        patch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
        embedded.up()
        yield place
        embedded.down()
    shutil.rmtree(folder)


def states() -> dict[str, str]:
    """How the servers are."""
    return {server["name"]: server["state"] for server in stack_bar.look()["servers"]}


@pytest.mark.parametrize(("server", "name"), [("postgres", "PostgreSQL"), ("kafka", "Kafka")])
def test_server_is_killed_and_started_when_it_is_ours(home: Path, server: str, name: str) -> None:
    """Gone at once, the other stays, and there again with its data when `start` returns."""
    stack_bar.act("kill", server)
    assert states() == {"PostgreSQL": "running", "Kafka": "running", name: "stopped"}
    stack_bar.act("start", server)
    assert states() == {"PostgreSQL": "running", "Kafka": "running"}


@pytest.mark.parametrize(
    ("action", "server"), [("kill", "init"), ("stop", "postgres"), ("", ""), ("kill", "../pg")]
)
def test_action_is_refused_when_it_is_unknown(home: Path, action: str, server: str) -> None:
    """Two servers, two actions, nothing else."""
    with pytest.raises(UsageError):
        stack_bar.act(action, server)


def test_server_is_left_alone_when_it_is_not_ours(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever named a database of their own does not want it killed from a page."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://somebody@127.0.0.1:1/theirs")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    with pytest.raises(UsageError, match="not ours"):
        stack_bar.act("kill", "postgres")


def test_process_of_a_lab_is_killed_by_name_and_no_other_is(home: Path) -> None:
    """What `lab.start` has started shows under its module's name; this test itself does not."""
    child = Child("signal:pause")
    try:
        wait_until(lambda: "signal" in names(), what="the child's name")
        stack_bar.kill(child.pid)
        wait_until(lambda: not child.alive, what="its end")
        for other in (os.getpid(), 1, child.pid):
            with pytest.raises(UsageError):
                stack_bar.kill(other)
    finally:
        child.kill()


def names() -> set[str]:
    """The names of the labs' processes."""
    return {process.name for process in stack_bar.processes()}


@pytest.mark.parametrize(
    "body", [{}, {"action": "kill"}, {"pid": "1"}, {"pid": 1}, {"pid": None}, [], "kill", 7]
)
def test_request_is_refused_when_it_makes_no_sense(
    home: Path, live: LiveServer, body: object
) -> None:
    """Bad input is the client's fault, and nothing has happened."""
    reader = Client(live).greet()
    assert reader.send("POST", "/_live/stack", body)[0] == 400
    assert states()["PostgreSQL"] == "running"


@pytest.mark.browser
def test_process_ends_when_the_reader_kills_it_while_a_cell_waits_for_it(
    home: Path, reader: Reader
) -> None:
    """What a lab has started is in the bar; the kernel sees its end."""
    reader.open("labs/01-demo/")
    start = "from handbook.lab import Child\nchild = Child('signal:pause')\nchild.wait()"
    reader.write("setup", start)
    reader.press("setup", "실행")
    panel = opened(reader)
    press(panel, "signal 죽이기")
    reader.cell("setup").locator(".live-status[data-kind='other']").wait_for()
    assert reader.output("setup") == "-9"
    panel.get_by_role("button", name="signal 죽이기").wait_for(state="detached")


@pytest.mark.browser
@pytest.mark.parametrize("name", ["PostgreSQL", "Kafka"])
def test_server_ends_and_returns_when_the_reader_says_so(
    home: Path, reader: Reader, name: str
) -> None:
    """The bar says how it is, and that is how it is."""
    reader.open("labs/01-demo/")
    panel = opened(reader)
    press(panel, f"{name} 죽이기")
    panel.locator(".live-summary", has_text=f"{name} 꺼짐").wait_for()
    assert states() == {"PostgreSQL": "running", "Kafka": "running", name: "stopped"}
    press(panel, f"{name} 켜기")
    panel.locator(".live-summary", has_text="PostgreSQL 켜짐 · Kafka 켜짐").wait_for()
    assert states() == {"PostgreSQL": "running", "Kafka": "running"}


def opened(reader: Reader) -> Locator:
    """The bar, with what it says of each server."""
    panel = reader.page.locator(".live-panel")
    panel.locator(".live-summary", has_text="PostgreSQL 켜짐 · Kafka 켜짐").click()
    return panel


def press(panel: Locator, label: str) -> None:
    """A button of the bar."""
    panel.get_by_role("button", name=label, exact=True).click()
