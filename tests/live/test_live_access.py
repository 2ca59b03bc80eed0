"""Who may run code: only whoever opened the printed address, from a page of this server."""

from __future__ import annotations

import json
import re

import pytest
from raw import Client, ends, frame
from serving import serve

from handbook.live import app
from handbook.live.server import LiveServer
from handbook.site.project import Project

SECRET = ("hello", "stack", "changes", "lab/01-demo", "api/kernels", "api/sessions")


@pytest.fixture
def reader(live: LiveServer) -> Client:
    """Opened the printed address."""
    return Client(live).greet()


@pytest.fixture
def stranger(live: LiveServer) -> Client:
    """Did not."""
    return Client(live)


def test_cookie_is_out_of_reach_of_scripts_and_other_sites_when_it_is_set(live: LiveServer) -> None:
    """HttpOnly, SameSite=Strict, only for `/_live/`; the token stays in no address."""
    stranger = Client(live)
    status, headers, _ = stranger.send("GET", f"/_live/open?token={live.token}&next=/labs/01-demo/")
    assert (status, headers["Location"]) == (302, "/labs/01-demo/")
    for line in headers.get_all("Set-Cookie", []):
        assert {"HttpOnly", "Path=/_live/", "SameSite=Strict"} <= set(line.split("; "))
    assert headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("path", SECRET)
def test_answer_is_refused_when_there_is_no_cookie(stranger: Client, path: str) -> None:
    """Reading the site needs none; everything about kernels and servers does."""
    assert stranger.send("GET", "/")[0] == 200
    assert stranger.send("GET", f"/_live/{path}")[0] == 403


@pytest.mark.parametrize("guess", ["", "x", "0" * 32, "' OR 1=1", "%00"])
def test_token_is_refused_when_it_is_guessed(live: LiveServer, guess: str) -> None:
    """No hint, no cookie; 24 random bytes are not found by trying."""
    stranger = Client(live)
    assert stranger.send("GET", f"/_live/open?token={guess}".replace(" ", "+"))[0] == 403
    assert stranger.send("GET", "/_live/hello", Authorization=f"token {guess}")[0] == 403
    assert len(live.token) == 32


@pytest.mark.parametrize(
    "target", ["//evil.example/", "https://evil.example/", "/\\evil.example", "javascript:alert(1)"]
)
def test_open_leads_nowhere_else_when_it_is_asked_to(reader: Client, target: str) -> None:
    """The redirect stays on this site."""
    status, headers, _ = reader.send("GET", f"/_live/open?next={target}")
    assert (status, headers["Location"]) == (302, "/")


def test_cookie_is_worth_nothing_when_the_server_was_started_again(built: Project) -> None:
    """Replayed to the next server on the same port, it opens nothing."""
    first = serve(built)
    reader = Client(first).greet()
    first.close()
    second = serve(built)
    try:
        old = first.place.port, reader.cookies
        again = Client(
            second,
            {
                name.replace(str(old[0]), str(second.place.port)): value
                for name, value in old[1].items()
            },
        )
        assert again.send("GET", "/_live/hello")[0] == 403
    finally:
        second.close()


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1.evil.example:{port}"])
@pytest.mark.parametrize(
    "path", ["/", "/_live/client/live.js", "/_live/hello", "/_live/api/kernels"]
)
def test_request_is_refused_when_it_names_another_host(
    reader: Client, host: str, path: str
) -> None:
    """A foreign name that resolves to this machine reads nothing, cookie or not."""
    named = host.format(port=reader.live.place.port)
    assert reader.send("GET", path, host=named)[0] in {403, 421}


def test_request_is_sent_on_when_it_names_localhost(stranger: Client) -> None:
    """The cookie is for one name; the other name of this machine leads there."""
    port = stranger.live.place.port
    status, headers, _ = stranger.send("GET", "/labs/", host=f"localhost:{port}")
    assert (status, headers["Location"]) == (302, f"http://127.0.0.1:{port}/labs/")


@pytest.mark.parametrize(
    "path",
    [
        "/../mkdocs.yml",
        "/%2e%2e/mkdocs.yml",
        "/..%2fmkdocs.yml",
        "/labs/../../mkdocs.yml",
        "//etc/passwd",
        "/%2fetc/passwd",
        "/_live/client/../app.py",
        "/_live/client/%2e%2e/app.py",
        "/_live/client/vendor/../../app.py",
        "/_live/client/vendor/%2e%2e/%2e%2e/package.js",
        "/_live/lab/../../mkdocs",
        "/_live/lab/01-demo%2f..%2f..",
        "/a%00b",
    ],
)
def test_nothing_is_found_when_a_path_leaves_the_site(reader: Client, path: str) -> None:
    """Only the site, the client, and labs by name."""
    assert reader.send("GET", path)[0] in {403, 404}


@pytest.mark.parametrize("service", ["contents", "terminals", "kernelspecs", "config", "nbconvert"])
def test_service_is_missing_when_no_page_needs_it(reader: Client, service: str) -> None:
    """No files, no terminals, no settings of Jupyter."""
    assert reader.send("GET", f"/_live/api/{service}")[0] == 404


@pytest.mark.parametrize("path", ["api/kernels", "api/sessions", "stack"])
def test_post_is_refused_when_it_does_not_show_the_value(reader: Client, path: str) -> None:
    """The cookie alone, which a browser sends by itself, starts and kills nothing."""
    reader.xsrf = ""
    before = len(reader.kernels())
    assert reader.send("POST", f"/_live/{path}", {"name": "python3"})[0] == 403
    assert len(reader.kernels()) == before


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:1", "null"])
def test_socket_is_refused_when_the_page_is_another_sites(reader: Client, origin: str) -> None:
    """WebSockets know no same-origin rule in the browser; the server has one."""
    kernel = reader.kernel()
    status, sock = reader.upgrade(kernel, origin=origin)
    sock.close()
    assert status == 403
    status, sock = reader.upgrade(kernel)
    sock.close()
    assert status == 101


def test_socket_is_refused_when_there_is_no_cookie(reader: Client, stranger: Client) -> None:
    """Knowing a kernel's id is not enough."""
    status, sock = stranger.upgrade(reader.kernel())
    sock.close()
    assert status == 403


def test_connection_ends_when_a_message_is_oversized(reader: Client) -> None:
    """Neither a request nor a message to a kernel may be large; the server goes on."""
    body = b"x" * (app.BODY_LIMIT + 1)
    try:
        status = reader.send("POST", "/_live/api/sessions", body)[0]
    except (ConnectionError, OSError):
        status = 400
    assert status == 400
    status, sock = reader.upgrade(reader.kernel())
    with sock:
        assert status == 101
        sock.sendall(frame(app.MESSAGE_LIMIT + 1))
        assert ends(sock)
    assert reader.send("GET", "/_live/hello")[0] == 200


def test_policy_is_strict_when_a_page_is_served(stranger: Client) -> None:
    """In the answer and in the page: no inline script, nothing foreign, no frame of others."""
    _, headers, page = stranger.send("GET", "/labs/01-demo/")
    sent = headers["Content-Security-Policy"]
    written = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert written is not None
    assert sent.startswith(written[1])
    assert "unsafe" not in sent
    assert re.search(r"\*|https?:", sent) is None
    assert f"connect-src 'self' ws://{stranger.live.place.host};" in sent
    assert "frame-ancestors 'self'" in sent


def test_published_page_carries_nothing_of_the_server_when_built(built: Project) -> None:
    """The script is put in on the way out; files are as they were built."""
    assert not any("/_live/" in path.read_text("utf-8") for path in built.site.rglob("*.html"))


def test_jupyter_of_the_reader_does_not_count_when_it_is_configured(
    built: Project, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A setting that asks for no token, or a user's token in the environment, changes nothing."""
    folder = str(tmp_path)
    with open(f"{folder}/jupyter_server_config.py", "w") as file:  # noqa: PTH123
        file.write("c.IdentityProvider.token = ''\nc.ServerApp.allow_remote_access = True\n")
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", folder)
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", folder)
    monkeypatch.setenv("JUPYTER_TOKEN", "known")
    server = serve(built)
    try:
        stranger = Client(server)
        assert stranger.send("GET", "/_live/hello")[0] == 403
        assert stranger.send("GET", "/_live/hello?token=known")[0] == 403
        assert stranger.send("GET", "/", host="evil.example")[0] == 421
    finally:
        server.close()


def test_cells_of_a_lab_come_in_order_when_they_are_asked_for(reader: Client) -> None:
    """Code and stored text, which the page compares with."""
    _, _, text = reader.send("GET", "/_live/lab/01-demo")
    cells = json.loads(text)["cells"]
    assert [cell["id"] for cell in cells] == [
        "setup",
        "e1-loses",
        "e1-keeps",
        "e1-table",
        "cleanup",
    ]
    assert cells[1]["output"] == "lost=2\n<&>\n"
    assert reader.send("GET", "/_live/lab/99-gone")[0] == 404
