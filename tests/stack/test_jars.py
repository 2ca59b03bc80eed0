"""Kafka's jars: whatever the network delivers, only what the lock names is used."""

from __future__ import annotations

import gc
import http.server
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from own_stack import assert_works, run_cli, servers, start_cli
from scratch import wait_until

from handbook.errors import StackError
from handbook.stack import embedded, jars, settings
from handbook.stack.settings import Jar

pytestmark = [
    pytest.mark.stack,
    # The resolver leaves the socket of a failed download to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
DEAD_PROXY = "http://127.0.0.1:9"  # nobody listens on the discard port


class Mirror:
    """A Maven mirror that serves the real jars, and misbehaves for the paths it is told to."""

    def __init__(self, source: Path) -> None:
        self.source = source
        self.damage: dict[str, str] = {}
        self.asked: list[str] = []
        self.released = threading.Event()
        mirror = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                mirror.answer(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Keep quiet."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        """One download, damaged as `damage` says of it: every time, or `once`."""
        name = request.path.rsplit("/", 1)[1]
        self.asked.append(name)
        file = self.source / name
        if not file.exists():
            request.send_error(404)
            return
        kind = self.damage.get(name, "")
        if kind.endswith("once"):
            del self.damage[name]
        if kind.isdigit():
            request.send_error(int(kind))
            return
        body = file.read_bytes()
        request.send_response(200)
        # A cut connection behind a careless proxy looks like a whole, shorter file.
        sent = body[: len(body) // 2] if kind.startswith("cut") else body
        sent = bytes([sent[0] ^ 1]) + sent[1:] if kind.startswith("corrupt") else sent
        claimed = len(body) if kind.startswith("hang") or kind == "cut short" else len(sent)
        request.send_header("Content-Length", str(claimed))
        request.end_headers()
        if kind.startswith("hang"):
            self.released.wait(60)
            return
        request.wfile.write(sent)

    def close(self) -> None:
        """Stop serving."""
        self.released.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def mirror(
    start_up_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Mirror]:
    """A mirror, and an empty cache that fetches from it."""
    made = Mirror(start_up_cache)
    monkeypatch.setenv("HANDBOOK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(jars.MIRROR, made.url)
    yield made
    made.close()
    gc.collect()  # here, where the warning is expected, and not in somebody else's test


@pytest.fixture
def full_cache(start_up_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own with every jar and the start-up cache, and no network."""
    monkeypatch.setenv("HANDBOOK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(jars.MIRROR, DEAD_PROXY)
    (tmp_path / "cache").mkdir()
    subprocess.run(["cp", "-a", start_up_cache, jars.home()], check=True)
    return jars.home()


def largest() -> Jar:
    """A jar that every start of the broker reads."""
    return max(settings.locked_jars(), key=lambda jar: jar.size)


def test_lock_pins_each_jar_by_hash_and_size() -> None:
    """The lock names group, artifact, version, SHA-256 and size, each jar once, in order."""
    lines = settings.KAFKA_LOCK.read_text().splitlines()

    assert all(re.fullmatch(r"[\w.-]+:[\w.-]+:[\w.-]+ [0-9a-f]{64} [1-9]\d*", x) for x in lines)
    assert lines == sorted(lines, key=lambda line: line.split(":")[:2])
    assert len({jar.name for jar in settings.locked_jars()}) == len(lines)
    assert {j.version for j in settings.locked_jars() if j.group == "org.apache.kafka"} == {
        settings.KAFKA_VERSION
    }


@pytest.mark.soak
def test_lock_is_what_its_tool_prints() -> None:
    """Whoever asks the network for this version of Kafka gets the lock, byte for byte."""
    command = [sys.executable, "-m", "handbook.stack.lock_kafka", settings.KAFKA_VERSION]

    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout

    assert printed == settings.KAFKA_LOCK.read_text()


def test_fetch_brings_every_jar_with_progress(mirror: Mirror) -> None:
    """An empty cache is filled, with counts and MiB on the way; a second time asks nobody."""
    said: list[str] = []

    jars.fetch(said.append)
    asked = len(mirror.asked)
    jars.fetch(said.append)

    assert jars.missing() == []
    assert jars.discard_corrupt() == []
    assert re.fullmatch(r"Kafka [\d.]+ MiB in 45 jars: downloading, .*", said[0])
    assert re.fullmatch(r"Kafka jars: 45/45, ([\d.]+)/\1 MiB", said[-1])
    assert len(mirror.asked) == asked
    assert not (jars.home().parent / "m2").exists()


@pytest.mark.parametrize("damage", ["corrupt, once", "cut, once"])
def test_damaged_download_is_fetched_again(mirror: Mirror, damage: str) -> None:
    """A jar that arrives damaged once is deleted and asked for again."""
    mirror.damage[largest().name] = damage

    jars.fetch()

    assert jars.discard_corrupt() == []
    assert mirror.asked.count(largest().name) == 2


@pytest.mark.parametrize("damage", ["corrupt", "cut"])
def test_message_names_the_jar_when_it_stays_damaged(mirror: Mirror, damage: str) -> None:
    """A jar that arrives damaged twice is one clear error and is not kept anywhere."""
    mirror.damage[largest().name] = damage

    with pytest.raises(StackError) as caught:
        jars.fetch()

    assert caught.value.what.startswith(f"{largest().name} arrived damaged twice")
    assert list(jars.home().parent.rglob(largest().name)) == []
    del mirror.damage[largest().name]
    jars.fetch()
    assert jars.discard_corrupt() == []


@pytest.mark.parametrize("damage", ["404", "403", "503"])
def test_message_names_the_jar_when_the_mirror_lacks_it(mirror: Mirror, damage: str) -> None:
    """A mirror that refuses a jar is one clear error."""
    mirror.damage[largest().name] = damage

    with pytest.raises(StackError) as caught:
        jars.fetch()

    assert caught.value.what == f"The Maven mirror does not deliver {largest().name}."


@pytest.mark.parametrize("damage", ["cut short", "hang"])
def test_message_gives_advice_when_the_connection_breaks_or_hangs(
    mirror: Mirror, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that breaks or falls silent ends in the advice for a bad network."""
    monkeypatch.setattr(jars, "TIMEOUT", 1)
    mirror.damage[largest().name] = damage

    with pytest.raises(StackError, match="could not be downloaded"):
        jars.fetch()

    assert [
        path.name
        for path in jars.home().parent.rglob("*.jar")
        if path.parent.name != jars.home().name
    ] == []


def test_first_start_without_network_gives_advice(home: Path, tmp_path: Path) -> None:
    """An empty cache and no way out: one message, exit code 3, nothing started or half made."""
    done = run_cli(
        "up",
        HANDBOOK_CACHE=str(tmp_path / "cache"),
        HTTPS_PROXY=DEAD_PROXY,
        HTTP_PROXY=DEAD_PROXY,
        ALL_PROXY=DEAD_PROXY,
        NO_PROXY="",
        no_proxy="",
    )

    assert done.returncode == 3
    assert "error: Kafka's jars could not be downloaded" in done.stderr
    assert "next: connect to the network, or set HTTPS_PROXY" in done.stderr
    assert "Traceback" not in done.stderr
    assert servers(home) == []
    assert sorted(path.name for path in home.iterdir()) == ["lock"]
    assert list((tmp_path / "cache").rglob("*.jar")) == []


def test_download_goes_on_where_a_killed_one_stopped(mirror: Mirror, home: Path) -> None:
    """Jars that arrived before a kill are kept; nothing damaged is."""
    mirror.damage[largest().name] = "hang, once"
    first = start_cli("up")
    wait_until(lambda: len(jars.missing()) == 1, "all jars but the one that hangs")
    first.kill()
    first.communicate()
    before = len(mirror.asked)

    jars.fetch()

    assert [name for name in mirror.asked[before:] if name.endswith(".jar")] == [largest().name]
    assert jars.discard_corrupt() == []


@pytest.mark.parametrize("kept", [0, 1000])
def test_cut_off_jar_in_the_cache_is_noticed_at_start(mirror: Mirror, kept: int) -> None:
    """A jar that is empty or too short is not used: it is fetched again."""
    jars.fetch()
    path = jars.home() / largest().name
    path.write_bytes(path.read_bytes()[:kept])

    jars.fetch()

    assert jars.discard_corrupt() == []


def test_broker_starts_when_a_cached_jar_was_corrupt(
    formatted: Path, full_cache: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A jar damaged inside, at full length, fails the broker once; it is found and replaced."""
    monkeypatch.setenv("HANDBOOK_CACHE", str(full_cache.parent))
    path = full_cache / f"kafka_2.13-{settings.KAFKA_VERSION}.jar"
    path.write_bytes(bytes(path.stat().st_size))
    said: list[str] = []

    stack = embedded.up(say=said.append)

    assert "1 of Kafka's jars were damaged in the cache: fetching them again" in said
    assert_works(stack)


def test_start_needs_no_network_when_the_cache_is_full(formatted: Path, full_cache: Path) -> None:
    """With the jars there, a start asks nobody for anything."""
    stack = embedded.up()

    assert_works(stack)
    shutil.rmtree(full_cache.parent / "training", ignore_errors=True)
