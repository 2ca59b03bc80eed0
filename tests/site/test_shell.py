"""What surrounds the pages: first screen, navigation, edit links, 404, paper, weight."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
from bs4 import BeautifulSoup, Tag
from playwright.sync_api import Browser
from visits import SLANTED, SMALL, visit

from handbook.site import build
from handbook.site.project import Project

REPOSITORY = "https://github.com/example/handbook"
PAGE = "events/outbox/index.html"
LAB = "labs/01-demo/index.html"
BUDGET = 100_000


def read(site: Path, page: str) -> BeautifulSoup:
    """A built page."""
    return BeautifulSoup((site / page).read_text("utf-8"), "html.parser")


def meta(page: BeautifulSoup) -> dict[str, str]:
    """What a page says about itself to others."""
    return {str(tag["property"]): str(tag["content"]) for tag in page.select("meta[property]")}


def test_page_leads_to_its_source_when_the_repository_is_known(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page to its Markdown, a lab to its notebook; nobody asks the host for anything."""
    monkeypatch.setenv("REPO_URL", REPOSITORY)
    build.build(project)
    found = [read(project.site, page).select_one("a[rel=edit]") for page in (PAGE, LAB)]
    assert [(link.get_text(), link["href"]) for link in found if link] == [
        ("이 페이지 고치기", f"{REPOSITORY}/edit/main/docs/events/outbox.md"),
        ("이 페이지 고치기", f"{REPOSITORY}/edit/main/notebooks/01-demo.ipynb"),
    ]
    assert not read(project.site, PAGE).select("[data-md-component=source]")


def test_page_has_no_edit_link_when_no_repository_is_known(built: Project) -> None:
    """A dead link is worse than none."""
    assert not read(built.site, PAGE).select("a[rel=edit], .md-source")


def test_page_says_what_it_is_when_it_is_shared(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Title, description, kind, language; its address when the site has one; and a sitemap."""
    monkeypatch.setenv("SITE_URL", "https://example.org/handbook/")
    build.build(project)
    page, home = read(project.site, PAGE), read(project.site, "index.html")
    said = meta(page)
    assert said["og:title"] == "커밋과 이벤트"
    assert said["og:type"] == "article"
    assert said["og:locale"] == "ko_KR"
    assert said["og:description"] == page.select_one("meta[name=description]")["content"]  # type: ignore[index]
    assert said["og:url"] == "https://example.org/handbook/events/outbox/"
    assert meta(home)["og:type"] == "website"
    sitemap = (project.site / "sitemap.xml").read_text("utf-8")
    assert said["og:url"] in sitemap
    assert "https://example.org/handbook/labs/01-demo/" in sitemap


def test_missing_page_offers_the_tabs_when_built(built: Project) -> None:
    """Somebody who is lost gets the same choices as at the top."""
    page = read(built.site, "404.html")
    assert page.title is not None
    assert page.title.get_text().strip().startswith("없는 페이지입니다")
    choices = [link.get_text() for link in page.select("article li a")]
    assert "홈" in choices
    assert len(choices) >= 3


def test_dialog_of_the_search_has_a_name(built: Project) -> None:
    """And the sections of the navigation have one each."""
    page = read(built.site, PAGE)
    assert page.select_one('[role=dialog][aria-label="검색"]') is not None
    names = [str(nav["aria-label"]) for nav in page.select("nav[data-md-level]")]
    assert all(names)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("page", ["index.html", PAGE, "labs/13-outbox/index.html"])
def test_page_stays_below_its_budget_when_its_files_are_compressed(
    handbook: tuple[Path, str], page: str
) -> None:
    """All that a page loads at once, but for fonts: at most 100 KB with gzip."""
    folder, _ = handbook
    files = {page, *loaded(folder, page)}
    weights = {file: len(gzip.compress((folder / file).read_bytes())) for file in files}
    assert len(weights) >= 6
    assert sum(weights.values()) <= BUDGET, weights


def loaded(folder: Path, page: str) -> set[str]:
    """The style sheets and scripts that a page names."""
    tags = read(folder, page).select("link[rel=stylesheet], script[src]")
    names = [str(tag.get("href") or tag.get("src")) for tag in tags]
    files = {urlsplit(urljoin(f"http://x/{page}", name)).path.lstrip("/") for name in names}
    return {file for file in files if not file.startswith("assets/fonts/")}


@pytest.mark.browser
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_first_screen_holds_all_of_home_when_it_is_opened(
    browser: Browser, handbook: tuple[Path, str], width: int, height: int
) -> None:
    """Sentence, commands, damage above repair, three paths, one line of facts: no scrolling."""
    seen = visit(browser, handbook[1], width=width, height=height)
    seen.open("")
    boxes = {
        name: seen.page.locator(f".home {name}").bounding_box()
        for name in ("h1", ".broken", ".fixed", ".home__paths")
    }
    ends = {name: box["y"] + box["height"] for name, box in boxes.items() if box}
    assert max(ends.values()) <= height
    assert ends["h1"] < ends[".broken"] < ends[".fixed"]
    assert seen.page.locator(".home__paths li a").count() == 3
    assert seen.page.locator(".home__start .highlight").count() == 4
    seen.page.context.close()


@pytest.mark.browser
def test_small_and_slanted_text_is_seen_when_a_page_has_it(
    browser: Browser, handbook: tuple[Path, str]
) -> None:
    """The twin of the check of every page in `test_browser.py`."""
    seen = visit(browser, handbook[1], bypass_csp=True)
    seen.open("")
    seen.page.evaluate("document.querySelector('h1').innerHTML = '<q>가<sub>나</sub></q>'")
    seen.page.add_style_tag(content="q { font-style: italic } q sub { font-size: 9px }")
    assert len(seen.page.evaluate(SMALL)) == 1
    assert seen.page.evaluate(SLANTED) != []
    seen.page.context.close()


@pytest.mark.browser
def test_text_and_code_have_our_fonts_when_a_page_is_opened(
    browser: Browser, handbook: tuple[Path, str]
) -> None:
    """Loaded from the site; a syllable in code is exactly two letters wide."""
    seen = visit(browser, handbook[1])
    seen.open("reference/writing/patterns/")
    loaded = seen.page.evaluate(
        "[...document.fonts].filter((f) => f.status === 'loaded').map((f) => f.family)"
    )
    assert {name.strip('"') for name in loaded} >= {"Pretendard Variable", "Handbook Code"}
    wide, narrow = (
        seen.page.evaluate(
            """(text) => {
                 const probe = document.createElement("code");
                 probe.textContent = text;
                 document.querySelector("article pre").append(probe);
                 const { width } = probe.getBoundingClientRect();
                 const space = getComputedStyle(probe);
                 return width - parseFloat(space.paddingLeft) - parseFloat(space.paddingRight);
               }""",
            text,
        )
        for text in ("세션상태", "SELECT12")
    )
    assert wide == pytest.approx(narrow, abs=0.01)
    seen.page.context.close()


@pytest.mark.browser
def test_paper_is_light_and_complete_when_printed_from_a_dark_screen(
    browser: Browser, handbook: tuple[Path, str]
) -> None:
    """No navigation, answers open, addresses written out, code wrapped instead of cut."""
    seen = visit(browser, handbook[1], scheme="dark")
    seen.open("events/outbox/")
    page = seen.page
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    for gone in (".md-header", ".md-tabs", ".md-sidebar", ".md-footer"):
        assert page.locator(gone).first.is_hidden()
    assert page.locator("details.question > :not(summary)").first.is_visible()
    link = page.locator("article a[href^='https://']").first
    written = link.evaluate("link => getComputedStyle(link, '::after').content")
    assert "http" in written
    style = "getComputedStyle(document.querySelector('pre > code'))"
    wrapped = page.evaluate(f"{style}.whiteSpace")
    assert wrapped.startswith("pre-wrap")
    page.context.close()


@pytest.mark.browser
def test_next_and_previous_are_named_when_a_phone_shows_the_end(
    browser: Browser, handbook: tuple[Path, str]
) -> None:
    """The theme hides the previous page's title on a phone."""
    seen = visit(browser, handbook[1], width=390)
    seen.open("labs/13-outbox/")
    titles = seen.page.locator(".md-footer__title")
    assert titles.count() == 2
    for title in titles.all():
        assert title.is_visible()
        assert re.search(r"(이전|다음)\s+\S", title.inner_text())
    seen.page.context.close()


def test_links_of_the_fonts_licenses_lead_somewhere(handbook: tuple[Path, str]) -> None:
    """They stand in every footer."""
    footer = read(handbook[0], "index.html").select_one(".md-copyright")
    assert isinstance(footer, Tag)
    for link in footer.select("a"):
        assert (handbook[0] / str(link["href"])).is_file()
