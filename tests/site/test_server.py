"""The reader's server: loopback, known hosts, right types, its own 404."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator

import pytest

from handbook.errors import StackError
from handbook.site import server
from handbook.site.project import Project
from handbook.site.server import Server


@pytest.fixture
def site(built: Project) -> Iterator[Server]:
    """The built site, served on any port."""
    running = server.listen(built.site, 0, print)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


def get(
    site: Server, path: str, *, method: str = "GET", host: str | None = None
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """Status, headers and body; `host` replaces the header."""
    connection = http.client.HTTPConnection(server.ADDRESS, site.port, timeout=10)
    try:
        connection.putrequest(method, path, skip_host=True)
        connection.putheader("Host", host or f"{server.ADDRESS}:{site.port}")
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/labs/01-demo/", "text/html; charset=utf-8"),
        ("/assets/stylesheets/handbook.css", "text/css; charset=utf-8"),
        ("/search/search_index.json", "application/json; charset=utf-8"),
        ("/assets/images/favicon.png", "image/png"),
    ],
)
def test_file_has_its_type_when_it_is_served(site: Server, path: str, kind: str) -> None:
    """Types do not depend on the machine, and nothing is sniffed."""
    status, headers, body = get(site, path)
    assert (status, headers["Content-Type"]) == (200, kind)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert body


@pytest.mark.parametrize("path", ["/gone/", "/assets/", "/assets/stylesheets/", "/../mkdocs.yml"])
def test_own_page_is_shown_when_there_is_nothing(site: Server, path: str) -> None:
    """Missing files, folders without a page and paths outside get the Korean 404 page."""
    status, headers, body = get(site, path)
    assert (status, headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert "없는 페이지입니다" in body.decode()


def test_head_sends_no_body_when_asked(site: Server) -> None:
    """HEAD answers like GET, found or not."""
    assert [get(site, path, method="HEAD")[0::2] for path in ("/", "/gone/")] == [
        (200, b""),
        (404, b""),
    ]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_method_is_refused_when_it_is_not_reading(site: Server, method: str) -> None:
    """The site can be read and nothing else."""
    assert get(site, "/", method=method)[0] == 501


@pytest.mark.parametrize("host", ["example.org", "127.0.0.1", "localhost:1", "127.0.0.1.evil:80"])
def test_request_is_refused_when_it_names_another_host(site: Server, host: str) -> None:
    """A foreign name that resolves to this machine reads nothing."""
    for method in ("GET", "HEAD"):
        assert get(site, "/", host=host, method=method)[0] == 421


def test_request_is_answered_when_it_names_localhost(site: Server) -> None:
    """The other name of this machine works."""
    assert get(site, "/", host=f"localhost:{site.port}")[0] == 200


def test_server_listens_on_loopback_only(site: Server) -> None:
    """No other machine can reach it."""
    assert site.socket.getsockname()[0] == "127.0.0.1"


def test_listen_refuses_when_the_named_port_is_taken(site: Server, built: Project) -> None:
    """A busy port is one clear error with a free port in it."""
    with pytest.raises(StackError, match=f"port {site.port} is taken") as error:
        server.listen(built.site, site.port, print)
    assert "--port" in error.value.next_step


def test_listen_takes_the_next_port_when_the_usual_one_is_taken(
    built: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --port a busy 8000 is no reason to stop, but it is said."""
    said: list[str] = []
    with socket.socket() as other:
        other.bind((server.ADDRESS, 0))
        other.listen()
        taken = int(other.getsockname()[1])
        monkeypatch.setattr(server, "FIRST_PORT", taken)
        running = server.listen(built.site, None, said.append)
        used = running.port
        running.server_close()
    assert used != taken
    assert said == [f"port {taken} is taken, using {used}"]


def test_fonts_are_kept_and_pages_are_not_when_served(site: Server, built: Project) -> None:
    """A font's name changes with its content; a page, and a font that is missing, is asked anew."""
    font = built.site / "a.12345678.woff2"
    font.write_bytes(b"wOF2")
    try:
        assert "immutable" in str(get(site, f"/{font.name}")[1]["Cache-Control"])
    finally:
        font.unlink()
    assert get(site, f"/{font.name}")[1]["Cache-Control"] == "no-cache"
    assert get(site, "/")[1]["Cache-Control"] == "no-cache"
