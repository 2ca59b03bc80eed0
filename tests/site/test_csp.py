"""The content policy: in every page, strict, kept by everything that the site does."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from visits import SCHEMES, WATCH, visit

from handbook.errors import CheckFailedError
from handbook.site import build, csp, server
from handbook.site.project import Project

PAGE = """<!doctype html>
<html>
  <head>
    <meta charset="utf-8">
    <title>A style="x"</title>
  </head>
  <body>%s</body>
</html>
"""


def dropped(body: str) -> list[str]:
    """What the check says about a page, without the place."""
    problems = csp.check_page("a.html", csp.apply(PAGE % body))
    return [f"{problem.where.partition(':')[2]} {problem.what}" for problem in problems]


def test_policy_stands_before_everything_it_is_about_when_applied() -> None:
    """Directly after the charset; scripts by hash, nothing inline allowed as such."""
    page = csp.apply(PAGE % "<script>var a = 1</script>")
    head = page.partition("<title>")[0]
    assert csp.hashes(page)[0] in head
    assert "unsafe" not in head
    assert head.index("charset") < head.index("Content-Security-Policy")


def test_hash_is_the_browsers_when_a_script_is_inline() -> None:
    """The standard's own example; files and data need no hash."""
    example = "<script>alert('Hello, world.');</script>"
    assert csp.hashes(example) == ["'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='"]
    assert csp.hashes('<script src="a.js"></script>') == []
    assert csp.hashes('<script id="x" type="application/json">{}</script>') == []


def test_policy_takes_more_sources_when_a_server_needs_them() -> None:
    """Live cells talk to their own origin by WebSocket."""
    policy = csp.policy([], connect_src=["ws://127.0.0.1:8000"])
    assert "connect-src 'self' ws://127.0.0.1:8000;" in policy
    assert "connect-src 'self';" in csp.policy([])


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ('<p style="color: red">a</p>', "`style` of `<p"),
        ("<svg><g style='fill: red'/></svg>", "`style` of `<g"),
        ("<style>p { color: red }</style>", "`style` of `<style>`"),
        ('<button onclick="a()">a</button>', "`onclick` of `<button"),
        ('<a href="javascript:a()">a</a>', "`href` of `<a"),
    ],
)
def test_check_is_red_when_the_policy_would_drop_something(body: str, named: str) -> None:
    """A reader would only see that something is missing; the build says what and where."""
    found = dropped(f"<p>a</p>\n{body}")
    assert len(found) == 1
    assert found[0].startswith("9 ")
    assert named in found[0]


@pytest.mark.parametrize(
    "body",
    [
        "<p title=\" style='x' onclick=1\">a</p>",
        "<code>&lt;p style=&quot;x&quot;&gt;</code>",
        "<!-- <p style='x'> -->",
        '<script type="application/json">{"a": "<p style=\'x\'>"}</script>',
        '<svg><g fill="red" stroke-width="2"/></svg>',
    ],
)
def test_check_is_green_when_it_only_looks_like_it(body: str) -> None:
    """Text, comments and values of attributes are no attributes."""
    assert dropped(body) == []


def test_check_is_red_when_a_page_has_no_policy() -> None:
    """A page that does not begin like the theme's is not forgotten."""
    problems = list(csp.check_page("a.html", "<html></html>"))
    assert [problem.what for problem in problems] == ["the page has no content policy"]


def test_build_fails_when_a_page_carries_a_style(project: Project) -> None:
    """From the writer's side: file, line, what, next step."""
    page = project.docs / "events/outbox.md"
    page.write_text(page.read_text("utf-8") + '\n<p style="color: red">x</p>\n', "utf-8")
    with pytest.raises(CheckFailedError, match="the content policy drops `style`") as failure:
        build.build(project)
    assert "site/events/outbox/index.html:" in str(failure.value)
    assert "use a class" in str(failure.value)


def test_every_page_has_a_policy_when_built(built: Project) -> None:
    """The 404 page included."""
    pages = list(built.site.rglob("*.html"))
    assert built.site / "404.html" in pages
    for page in pages:
        assert page.read_text("utf-8").count("Content-Security-Policy") == 1


def watched(browser: Browser, origin: str, **options: int | str) -> Page:
    """A window that collects what its policy stops."""
    page = visit(browser, origin, **options).page  # type: ignore[arg-type]
    page.add_init_script(WATCH)
    return page


@pytest.mark.browser
@pytest.mark.parametrize("scheme", SCHEMES)
def test_nothing_is_stopped_when_a_reader_searches(
    browser: Browser, handbook: tuple[Path, str], scheme: str
) -> None:
    """Dialog, worker and results need nothing that the policy forbids."""
    page = watched(browser, handbook[1], scheme=scheme)
    page.goto(handbook[1], wait_until="load")
    page.locator("input.md-search__input").click()
    page.locator("input.md-search__input").press_sequentially("outbox")
    page.locator(".md-search-result__link").first.wait_for()
    assert page.evaluate("violations") == []
    page.context.close()


@pytest.fixture
def spoiled(handbook: tuple[Path, str], tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A copy of the site's home page and files, to be spoiled."""
    folder = tmp_path / "site"
    shutil.copytree(handbook[0], folder, ignore=shutil.ignore_patterns("labs", "reference"))
    running = server.listen(folder, 0, print)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield folder, running.url
    running.shutdown()
    running.server_close()


@pytest.mark.browser
@pytest.mark.parametrize(
    ("spoil", "stopped"),
    [
        (("</body>", "<script>window.ran = 1</script></body>"), "script-src"),
        (("<article ", '<article style="color: red" '), "style-src"),
        (("</body>", '<img src="https://example.org/a.png" alt=""></body>'), "img-src"),
        (("__md_scope=", "__md_scope =", "in the theme's own script"), "script-src"),
    ],
)
def test_browser_stops_it_when_a_page_is_spoiled_after_the_build(
    browser: Browser, spoiled: tuple[Path, str], spoil: tuple[str, ...], stopped: str
) -> None:
    """The twin of the test above: an injected script does not run, and is seen."""
    folder, origin = spoiled
    home = folder / "index.html"
    html = home.read_text("utf-8")
    assert spoil[0] in html
    home.write_text(html.replace(spoil[0], spoil[1], 1), "utf-8")
    page = watched(browser, origin)
    page.goto(origin, wait_until="load")
    assert [one for one in page.evaluate("violations") if one.startswith(stopped)]
    assert page.evaluate("window.ran") is None
    page.context.close()
