"""The proxy breaks what it is told to break, counts it, and passes everything else on."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import httpx
import pytest

from handbook.lab import Proxy


class Counting(http.server.BaseHTTPRequestHandler):
    """Counts what arrives and answers with the count."""

    protocol_version = "HTTP/1.1"
    arrived = 0
    port = 0

    def do_GET(self) -> None:
        """The answer."""
        type(self).arrived += 1
        body = str(type(self).arrived).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def server() -> Iterator[type[Counting]]:
    """A fresh counter behind a real socket."""

    class Fresh(Counting):
        """Begins at 0."""

    handler = Fresh
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    running.daemon_threads = True
    threading.Thread(target=running.serve_forever, daemon=True).start()
    handler.port = running.server_port
    yield handler
    running.shutdown()
    running.server_close()


@pytest.fixture
def proxy(server: type[Counting]) -> Iterator[Proxy]:
    """Before the counter."""
    with Proxy(server.port) as made:
        yield made


def test_everything_is_passed_on_when_nothing_is_armed(proxy: Proxy) -> None:
    """Also over one connection that is kept."""
    with httpx.Client() as client:
        assert [client.get(proxy.url).text for _ in range(3)] == ["1", "2", "3"]
    assert proxy.faults == 0


def test_request_arrives_and_reply_does_not_when_replies_are_dropped(
    proxy: Proxy, server: type[Counting]
) -> None:
    """The caller is in doubt; the server has done its work."""
    proxy.drop_replies()
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(proxy.url)
    assert (server.arrived, proxy.faults) == (1, 1)
    assert httpx.get(proxy.url).text == "2"


def test_half_a_reply_arrives_when_replies_are_cut(proxy: Proxy, server: type[Counting]) -> None:
    """Enough to see that something was answered, too little to read it."""
    proxy.cut_replies()
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(proxy.url)
    assert (server.arrived, proxy.faults) == (1, 1)


def test_caller_gives_up_when_replies_are_late(proxy: Proxy, server: type[Counting]) -> None:
    """The work is done all the same."""
    proxy.delay = 5
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(proxy.url, timeout=0.2)
    assert server.arrived == 1


def test_nothing_arrives_when_connections_are_refused(proxy: Proxy, server: type[Counting]) -> None:
    """Until it is healed, on the same port."""
    proxy.refuse()
    with pytest.raises(httpx.ConnectError):
        httpx.get(proxy.url)
    proxy.heal()
    assert httpx.get(proxy.url).text == "1"
    assert proxy.faults == 1


def test_watcher_sees_each_message_before_it_is_passed_on(server: type[Counting]) -> None:
    """Requests, replies, and replies that will be lost; over one connection and over another."""
    seen: list[tuple[str, str, int]] = []
    with Proxy(server.port) as proxy:
        proxy.watch = lambda sight, what: seen.append((sight, what, server.arrived))
        httpx.get(f"{proxy.url}/courses")
        proxy.drop_replies()
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(f"{proxy.url}/courses")
    assert seen == [
        ("request", "GET /courses", 0),
        ("reply", "200", 1),
        ("request", "GET /courses", 1),
        ("lost", "200", 2),
    ]
