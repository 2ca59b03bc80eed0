"""Queries typed into the handbook's own search, in a real Chromium: what comes first.

`queries.yml` holds what readers type and the page that must answer. The report says how often it
came first, among the first three, and how often nothing came at all; floors keep it so.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from mkdocs.utils import get_theme_dir
from playwright.sync_api import Browser, Page

from handbook import paths
from handbook.site import search, server

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

QUERIES = Path(__file__).parent / "queries.yml"
REPORT = paths.BUILD / "search.txt"
AT_LEAST = {"first": 0.80, "top three": 0.90}
AT_MOST = {"none": 0.03}

NONSENSE = (
    " ",
    "?!",
    "*",
    "-",
    "+",
    "ㅇ",
    "을",
    '"',
    '"락',
    "title:아웃박스",
    "a:b",
    "락~2",
    "가" * 300,
)

# Notes what the page asks its search worker, what the worker answers, and how long both take.
WATCH = """
window.searched = { asked: [], answered: [], times: [], ready: null };
window.Worker = class extends Worker {
  constructor(...given) {
    super(...given);
    this.addEventListener('message', ({ data }) => {
      if (data.type === 1) searched.ready = performance.now() - this.since;
      if (data.type !== 3) return;
      searched.times.push(performance.now() - searched.asked[searched.answered.length].since);
      searched.answered.push(data.data.items.map((sections) => sections[0].location));
    });
  }
  postMessage(message, ...more) {
    if (message.type === 0) this.since = performance.now();
    if (message.type === 2) searched.asked.push({ query: message.data, since: performance.now() });
    super.postMessage(message, ...more);
  }
};
"""
# Polled in the page: the content policy refuses what `wait_for_function` evaluates.
UNTIL = """async ([condition, argument]) => {
  const isReady = () => searched.ready !== null;
  const isShown = () => {
    const { asked, answered } = searched;
    const done = asked.length && asked.at(-1).query === argument;
    if (!done || answered.length < asked.length) return false;
    const [first] = answered.at(-1);
    const shown = document.querySelector('.md-search-result__item a');
    if (first === undefined || !shown) return first === undefined && !shown;
    return new URL(shown.href).pathname === '/' + first.split('#')[0];
  };
  const holds = { isReady, isShown }[condition];
  for (const end = performance.now() + 15000; !holds(); ) {
    if (performance.now() > end) throw Error(condition + ': ' + JSON.stringify(searched.asked));
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}"""
SHOWN = """() => [...document.querySelectorAll('.md-search-result__item')].map(
  (item) => new URL(item.querySelector('a').href).pathname.slice(1))"""


@dataclass(frozen=True)
class Query:
    """What is typed, and the pages that may answer."""

    kind: str
    text: str
    pages: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """The pages that the reader saw, in order, after so many milliseconds."""

    query: Query
    pages: tuple[str, ...]
    milliseconds: float

    @property
    def place(self) -> int | None:
        """Where the right page came, from 1; None when it did not."""
        places = [n for n, page in enumerate(self.pages, start=1) if page in self.query.pages]
        return places[0] if places else None


def queries() -> list[Query]:
    """All of them, in the file's order."""
    file = yaml.safe_load(QUERIES.read_text("utf-8"))

    def pages(wanted: str | list[str]) -> tuple[str, ...]:
        names = [wanted] if isinstance(wanted, str) else wanted
        return tuple(file["pages"][name] for name in names)

    return [
        Query(kind, str(text), pages(wanted))
        for kind, listed in file["queries"].items()
        for text, wanted in listed.items()
    ]


@contextmanager
def opened(browser: Browser, site: Path) -> Iterator[Page]:
    """A page of the served site with its search open and ready."""
    running = server.listen(site, 0, print)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="ko-KR")
    try:
        page = context.new_page()
        page.add_init_script(WATCH)
        page.goto(running.url)
        page.locator("input.md-search__input").click()
        page.evaluate(UNTIL, ["isReady", ""])
        yield page
    finally:
        context.close()
        running.shutdown()
        running.server_close()


@pytest.fixture(scope="module")
def page(browser: Browser, handbook_site: Path) -> Iterator[Page]:
    """The handbook's search, shared: every question replaces the one before."""
    with opened(browser, handbook_site) as shared:
        yield shared


def ask(page: Page, query: Query, *, letter_by_letter: bool = False) -> Answer:
    """Type the query in place of the last one, and read what is shown."""
    box = page.locator("input.md-search__input")
    box.fill("" if letter_by_letter else query.text)
    if letter_by_letter:
        box.press_sequentially(query.text)
    box.press("End")  # the theme listens to keys, and Hangul arrives without one
    page.evaluate(UNTIL, ["isShown", query.text])
    took = page.evaluate("searched.times.at(-1)")
    pages = [address.split("#")[0] for address in page.evaluate(SHOWN)]
    return Answer(query, tuple(dict.fromkeys(pages)), took)


def shares(answers: Sequence[Answer]) -> dict[str, float]:
    """How often the right page came first and among the first three; how often nothing came."""
    count = len(answers)
    return {
        "first": sum(answer.place == 1 for answer in answers) / count,
        "top three": sum((answer.place or 9) <= 3 for answer in answers) / count,
        "none": sum(not answer.pages for answer in answers) / count,
    }


def missed(answers: Sequence[Answer]) -> list[str]:
    """Every floor that the answers fall through."""
    found = shares(answers)
    low = [
        f"{name} {found[name]:.0%} < {floor:.0%}"
        for name, floor in AT_LEAST.items()
        if found[name] < floor
    ]
    high = [
        f"{name} {found[name]:.0%} > {ceiling:.0%}"
        for name, ceiling in AT_MOST.items()
        if found[name] > ceiling
    ]
    return low + high


def report(answers: Sequence[Answer], setup: float) -> str:
    """The shares by kind, the times, and every query whose page did not come first."""
    kinds = list(dict.fromkeys(answer.query.kind for answer in answers))
    lines = [f"{'':14}{'queries':>8}{'first':>8}{'top 3':>8}{'none':>8}"]
    for kind in [*kinds, "all"]:
        some = [answer for answer in answers if kind in (answer.query.kind, "all")]
        cells = "".join(f"{share:>8.0%}" for share in shares(some).values())
        lines.append(f"{kind:14}{len(some):>8}{cells}")
    times = sorted(answer.milliseconds for answer in answers)
    lines.append(
        f"set-up {setup:.0f} ms; a query {statistics.median(times):.1f} ms (median), "
        f"{times[-len(times) // 20]:.1f} ms (95 %)"
    )
    lines += [
        f"  {answer.query.text}: {answer.place or 'never'} (first: {answer.pages[:1]})"
        for answer in answers
        if answer.place != 1
    ]
    return "\n".join(lines)


def test_search_answers_when_readers_type(page: Page, capsys: pytest.CaptureFixture[str]) -> None:
    """Inflected, by another name, joined, mistyped or half typed: the page comes."""
    answers = [ask(page, query) for query in queries()]
    text = report(answers, page.evaluate("searched.ready"))
    with capsys.disabled():
        sys.stdout.write(f"\n{text}\n")
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(text + "\n", "utf-8")
    assert missed(answers) == [], text


def test_floors_are_missed_when_the_theme_s_own_script_searches(
    browser: Browser, handbook_site: Path, tmp_path: Path
) -> None:
    """The check above bites: without our script the same site falls through."""
    stock = shutil.copytree(handbook_site, tmp_path / "site")
    shutil.copy(Path(get_theme_dir("material")) / search.SCRIPT, stock / search.SCRIPT)
    with opened(browser, stock) as page:
        answers = [ask(page, query) for query in queries()[::3]]
    assert len(missed(answers)) == 3, report(answers, 0)


def test_other_names_find_nothing_when_the_index_has_none(
    browser: Browser, page: Page, handbook_site: Path, tmp_path: Path
) -> None:
    """The index's part is needed as well: a name that no page writes finds no page without it."""
    query = Query("", "고스트 이벤트", ("events/outbox/",))
    assert ask(page, query).place == 1
    bare = shutil.copytree(handbook_site, tmp_path / "site")
    index: dict[str, Any] = json.loads((bare / search.INDEX).read_text("utf-8"))
    for section in index["docs"]:
        section.pop(search.OF_TITLE, None)
        section.pop(search.OF_TEXT, None)
    (bare / search.INDEX).write_text(json.dumps(index), "utf-8")
    with opened(browser, bare) as without:
        assert ask(without, query).place != 1


@pytest.mark.parametrize(
    ("typed", "marked"),
    [
        ("트랜잭셔널아웃박스", {"트랜잭셔널", "아웃박스"}),
        ("아웃빅스", {"아웃박스"}),
        ("릴레이에서는", {"릴레이"}),
        ("outobx", {"outbox"}),
    ],
)
def test_found_words_are_marked_when_the_query_was_mended(
    page: Page, typed: str, marked: set[str]
) -> None:
    """The theme highlights what our script made of the query."""
    ask(page, Query("", typed, ()), letter_by_letter=True)
    words = page.locator(".md-search-result__item mark").all_inner_texts()
    assert marked <= {word.lower() for word in words}


def test_search_stays_alive_when_nonsense_is_typed(browser: Browser, handbook_site: Path) -> None:
    """Punctuation, operators, single letters and very long words break nothing."""
    faults: list[str] = []
    with opened(browser, handbook_site) as page:
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text))
        for typed in NONSENSE:
            ask(page, Query("", typed, ()))
        assert ask(page, Query("", "아웃박스", ("events/outbox/",))).place == 1
    assert faults == []
