"""The gate over built HTML, each rule with a page that breaks it."""

from __future__ import annotations

from pathlib import Path

import pytest

from handbook.site import links

GOOD = """<!doctype html><link rel="stylesheet" href="a.css"><h1 id="top-of-page">A</h1>
<a href="sub/">sub</a> <a href="sub/#두-번째">둘</a> <a href="#top-of-page">top</a>
<a href="#">top</a> <a href="https://example.org/">out</a> <a href="mailto:a@example.org">mail</a>
<link rel="canonical" href="https://example.org/a/"><img src="data:image/gif;base64,R0" alt="">"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Two pages and a style sheet."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "index.html").write_text(GOOD, "utf-8")
    (tmp_path / "sub/index.html").write_text('<h2 id="두-번째">B</h2><a href="../">up</a>', "utf-8")
    (tmp_path / "a.css").write_text("a{background:url(b.png)}", "utf-8")
    (tmp_path / "b.png").write_bytes(b"")
    return tmp_path


def test_check_is_green_when_everything_resolves(site: Path) -> None:
    """Pages, anchors in Hangul, https links, data and the canonical address pass."""
    assert links.check(site) == []


@pytest.mark.parametrize(
    ("html", "what"),
    [
        ('<a href="gone/">x</a>', "leads nowhere"),
        ('<a href="/gone.html">x</a>', "leads nowhere"),
        ('<a href="sub">x</a>', "without the final /"),
        ('<a href="sub/#gone">x</a>', "no id `gone`"),
        ('<a href="#gone">x</a>', "no id `gone`"),
        ('<a href="http://example.org/">x</a>', "not encrypted"),
        ('<a href="//example.org/">x</a>', "scheme open"),
        ('<a href="javascript:x()">x</a>', "has the scheme javascript"),
        ('<img src="https://example.org/a.png">', "from elsewhere"),
        ('<img srcset="b.png 1x, https://example.org/a.png 2x" src="b.png">', "from elsewhere"),
        ('<script src="//example.org/a.js"></script>', "scheme open"),
        ('<script src="http://example.org/a.js"></script>', "from elsewhere"),
        ('<link rel="stylesheet" href="https://example.org/a.css">', "from elsewhere"),
        ('<link rel="preconnect" href="https://example.org">', "from elsewhere"),
        ('<iframe src="https://example.org/"></iframe>', "from elsewhere"),
        ('<svg><use href="gone.svg#a"/></svg>', "leads nowhere"),
        ('<svg><image xlink:href="https://example.org/a.png"/></svg>', "from elsewhere"),
        ('<video poster="https://example.org/a.png"></video>', "from elsewhere"),
        ('<p style="background:url(https://example.org/a.png)">', "from elsewhere"),
        ("<style>@import 'https://example.org/a.css';</style>", "from elsewhere"),
        ('<p id="top-of-page">', "stands 2 times"),
        ('<p id="">', "stands 1 times"),
    ],
)
def test_check_names_the_page_when_a_fault_is_planted(site: Path, html: str, what: str) -> None:
    """Each fault is one problem, on the page where it stands."""
    page = site / "index.html"
    page.write_text(f"{GOOD}\n{html}", "utf-8")
    problems = links.check(site)
    assert [what in problem.what for problem in problems] == [True], problems
    assert problems[0].where.startswith("site/index.html")


def test_check_reads_style_sheets_when_they_load_something(site: Path) -> None:
    """A font from elsewhere hides in CSS, not in HTML."""
    (site / "a.css").write_text("@font-face{src:url(https://example.org/a.woff2)}", "utf-8")
    assert ["from elsewhere" in problem.what for problem in links.check(site)] == [True]


def test_full_paths_are_followed_when_the_site_lies_below_its_host(tmp_path: Path) -> None:
    """The 404 page names files from the host's root: `/handbook/a/` is `a/` of the site."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a/index.html").write_text("<p>a</p>", "utf-8")
    page = tmp_path / "404.html"
    page.write_text('<a href="/handbook/a/">a</a> <a href="/handbook/">b</a>', "utf-8")
    (tmp_path / "index.html").write_text("<p>b</p>", "utf-8")
    assert links.check(tmp_path, "/handbook/") == []
    assert len(links.check(tmp_path)) == 2
