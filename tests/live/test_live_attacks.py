"""What another page in the reader's browser, or a cell's own output, tries and does not get."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from raw import Client
from reader import Reader

pytestmark = pytest.mark.browser

# Each is tried from a page of somebody else, in the browser that holds the reader's cookie.
ATTACKS = """
async ([target, kernel]) => {
  const outcome = (promise) => promise.then(String, () => "refused");
  const include = { credentials: "include" };
  const post = { ...include, method: "POST" };
  const json = { "Content-Type": "application/json", "X-XSRFToken": "x" };
  const socket = new Promise((resolve, reject) => {
    const made = new WebSocket(`ws://${target}/_live/api/kernels/${kernel}/channels`);
    made.onopen = () => resolve("open");
    made.onerror = () => reject();
  });
  const frame = document.createElement("iframe");
  frame.src = `http://${target}/labs/01-demo/`;
  const framed = new Promise((resolve) => { frame.onload = resolve; });
  document.body.append(frame);
  await framed;
  return {
    "reads who is there": await outcome(fetch(`http://${target}/_live/hello`, include)),
    "lists kernels": await outcome(fetch(`http://${target}/_live/api/kernels`, include)),
    "reads a page": await outcome(fetch(`http://${target}/labs/01-demo/`, include)),
    "loads a page without looking": await outcome(
      fetch(`http://${target}/labs/01-demo/`, { ...include, mode: "no-cors" })),
    "starts a kernel with a header": await outcome(
      fetch(`http://${target}/_live/api/kernels`, { ...post, headers: json, body: "{}" })),
    "starts a kernel without looking": await outcome(
      fetch(`http://${target}/_live/api/kernels`, { ...post, mode: "no-cors", body: "{}" })
        .then(() => "sent")),
    "kills a server without looking": await outcome(
      fetch(`http://${target}/_live/stack`, { ...post, mode: "no-cors", body: "{}" })
        .then(() => "sent")),
    "opens a socket": await outcome(socket),
  };
}
"""
REFUSED = {
    "reads who is there": "refused",
    "lists kernels": "refused",
    "reads a page": "refused",
    "loads a page without looking": "refused",
    "starts a kernel with a header": "refused",
    "opens a socket": "refused",
}
# A browser sends these and shows the page no answer; what counts is that nothing has happened.
IN_VAIN = {"starts a kernel without looking", "kills a server without looking"}


class Quiet(SimpleHTTPRequestHandler):
    """Somebody else's site."""

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[int]:
    """The port of a page that is not ours."""
    (tmp_path / "index.html").write_text("<!doctype html><title>evil</title>", "utf-8")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield int(server.server_address[1])
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"], ids=["same site", "cross site"])
def test_page_of_others_gets_nothing_when_it_tries(
    reader: Reader, elsewhere: int, name: str
) -> None:
    """From another port, to which the cookie still counts as its site's, and from another name."""
    raw = Client(reader.live).greet()
    kernel, before = raw.kernel(), len(raw.kernels())
    evil = reader.window()
    evil.goto(f"http://{name}:{elsewhere}/")

    got = evil.evaluate(ATTACKS, [reader.live.place.host, kernel])

    assert {what: result for what, result in got.items() if what not in IN_VAIN} == REFUSED
    assert len(raw.kernels()) == before
    # Refused, or not even begun: never one of this server's pages.
    assert {frame.url for frame in evil.frames[1:]} <= {"", "chrome-error://chromewebdata/"}


def test_page_itself_cannot_start_a_kernel_when_it_does_not_show_the_value(reader: Reader) -> None:
    """A form or a script that only has the cookie is refused; scripts cannot read the cookie."""
    reader.open("labs/01-demo/")
    status = "fetch('/_live/api/kernels', {method: 'POST', body: '{}'}).then((a) => a.status)"
    assert reader.page.evaluate(status) == 403
    assert reader.page.evaluate("document.cookie") == ""


HTML = """
from IPython.display import HTML
HTML('''<h4>표</h4><script>parent.document.title = "taken"; top.location = "/gone"</script>
<img src="x" onerror="parent.document.title = 'taken'"><img src="/_live/hello">
<form action="/_live/api/kernels" method="post"><button>보내기</button></form>
<a href="javascript:parent.document.title='taken'" target="_top">누르기</a>
<meta http-equiv="refresh" content="0;url=/gone">''')
"""
SVG = """
from IPython.display import SVG
SVG('<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40"><script>'
    'parent.document.title = "taken"</script><rect width="40" height="40"/></svg>')
"""
TEXT = "print('<img src=x onerror=\"document.title=1\"><script>document.title=1</script>')"


def test_html_reaches_nothing_when_a_cell_puts_it_out(reader: Reader) -> None:
    """Shown in a frame without scripts, forms, requests or the page around it."""
    reader.open("labs/01-demo/")
    title = reader.page.title()
    reader.write("e1-keeps", HTML.strip())
    reader.run("e1-keeps")
    outer = reader.cell("e1-keeps").locator("iframe.live-frame")
    frame = outer.content_frame
    frame.get_by_role("heading", name="표").wait_for()
    frame.get_by_role("button", name="보내기").click()
    frame.get_by_role("link", name="누르기").click()
    assert outer.get_attribute("sandbox") == ""
    assert reader.page.title() == title
    assert reader.page.url.endswith("/labs/01-demo/")
    wanted = ("/gone", "/x", "/_live/api/kernels")
    assert [url for url in reader.answers if url.endswith(wanted)] == []
    reader.press("e1-keeps", "되돌리기")


@pytest.mark.parametrize("code", [SVG.strip(), TEXT], ids=["svg", "text"])
def test_script_does_not_run_when_it_is_in_a_drawing_or_in_text(reader: Reader, code: str) -> None:
    """A drawing is an image, and text is text."""
    reader.open("labs/01-demo/")
    title = reader.page.title()
    reader.write("e1-keeps", code)
    reader.run("e1-keeps")
    assert reader.page.title() == title
    assert reader.cell("e1-keeps").locator(".live-output script, .live-output svg").count() == 0
    reader.press("e1-keeps", "되돌리기")
