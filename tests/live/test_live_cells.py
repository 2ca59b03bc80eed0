"""Cells in a real Chromium: run, edit, compare, stop; on a lab's page and inside another page."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser
from reader import Reader
from serving import serve

from handbook.live.server import LiveServer
from handbook.site.project import Project

pytestmark = pytest.mark.browser

LAB = "labs/01-demo/"
PAGE = "events/outbox/"
SAME = "저장된 출력과 같습니다"
OTHER = "저장된 출력과 다릅니다"


def restart(reader: Reader) -> None:
    """A kernel in which nothing has run."""
    reader.page.get_by_role("button", name="커널 다시 시작").click()
    reader.page.locator(".live-panel [data-state=idle]").wait_for()


def test_cell_gives_its_stored_output_when_it_is_run_with_those_before(reader: Reader) -> None:
    """One click on a page that embeds a cell runs what it needs of the lab, then the cell."""
    reader.open(PAGE)
    assert SAME in reader.run("e1-loses")
    assert reader.output("e1-loses") == "lost=2\n<&>"
    assert reader.cell("e1-loses").locator(".cell-output").first.inner_text() == "lost=2\n<&>"
    assert SAME in reader.run("e1-keeps")
    assert [url for url in reader.requests if not url.startswith((reader.origin, "data:"))] == []
    assert reader.errors == []


def test_cells_share_a_kernel_when_pages_show_the_same_lab(reader: Reader) -> None:
    """What ran on one page has run on the other; a second run of a cell is said to be one."""
    reader.open(PAGE)
    restart(reader)
    reader.run("e1-loses")
    reader.open(LAB)
    reader.write("setup", 'events.append("d")')
    reader.run("setup")
    assert "다시 실행한 셀" in reader.run("e1-loses")
    assert reader.output("e1-loses").startswith("lost=3")
    reader.press("setup", "되돌리기")
    assert SAME in reader.run("e1-loses", "여기까지 실행")


def test_difference_is_marked_when_the_output_is_not_the_stored_one(reader: Reader) -> None:
    """The stored output stays; only the new line is marked, by a word and not colour alone."""
    reader.open(LAB)
    reader.write("e1-loses", 'print("lost=7")\nprint("<&>")')
    assert OTHER in reader.run("e1-loses")
    cell = reader.cell("e1-loses")
    assert cell.locator(".live-output mark").all_inner_texts() == ["lost=7"]
    assert cell.locator(".cell-output:not(.live-output)").inner_text() == "lost=2\n<&>"


def test_draft_stays_when_the_page_is_loaded_again_until_it_is_taken_back(reader: Reader) -> None:
    """Edited code survives; «되돌리기» brings the lab's own back."""
    reader.open(LAB)
    reader.write("e1-keeps", "'내 코드'")
    reader.open(LAB)
    reader.cell("e1-keeps").locator(".cm-content").wait_for()
    assert reader.cell("e1-keeps").locator(".cm-content").inner_text() == "'내 코드'"
    reader.press("e1-keeps", "되돌리기")
    reader.open(LAB)
    assert reader.cell("e1-keeps").locator(".cm-content").count() == 0
    assert SAME in reader.run("e1-keeps", "여기까지 실행")


def test_places_share_a_draft_when_a_page_shows_a_cell_twice(reader: Reader) -> None:
    """Each place runs and shows its own output; what is typed in one stands in the other."""
    reader.open("events/twice/")
    first, second = reader.cell("e1-loses"), reader.page.locator("[data-cell='e1-loses']").nth(1)
    second.get_by_role("button", name="고치기", exact=True).click()
    second.locator(".cm-content").wait_for()
    reader.page.keyboard.press("ControlOrMeta+a")
    reader.page.keyboard.type("'위아래'")
    first.locator(".cm-content", has_text="'위아래'").wait_for()
    assert first.locator(".live-editor").count() == 1

    reader.run("e1-loses", "여기까지 실행")

    assert reader.output("e1-loses") == "'위아래'"
    assert not second.locator(".live-output").is_visible()
    second.get_by_role("button", name="되돌리기", exact=True).click()
    assert reader.page.locator(".live-editor").count() == 0
    assert SAME in reader.run("e1-keeps", "여기까지 실행")


def test_error_shows_its_traceback_when_a_cell_raises(reader: Reader) -> None:
    """The line that failed and the error's name, as text."""
    reader.open(LAB)
    assert "오류로 끝났습니다" in reader.run("e1-table")
    shown = reader.cell("e1-table").locator(".cell-output__error").inner_text()
    assert "show(events)" in shown
    assert "NameError" in shown
    assert "\x1b" not in shown


def test_output_streams_and_stops_when_the_reader_interrupts(reader: Reader) -> None:
    """Lines come while the cell runs; «멈추기» ends it, and the kernel goes on."""
    reader.open(LAB)
    endless = "import time\nn = 0\nwhile True:\n    n += 1\n    print(n)\n    time.sleep(0.05)"
    reader.write("e1-keeps", endless)
    reader.press("e1-keeps", "실행")
    reader.cell("e1-keeps").locator(".live-output samp", has_text=re.compile(r"\b3\n")).wait_for()
    reader.page.get_by_role("button", name="멈추기").click()
    reader.cell("e1-keeps").locator(".live-status[data-kind=bad]").wait_for()
    assert "KeyboardInterrupt" in reader.output("e1-keeps")
    reader.press("e1-keeps", "되돌리기")
    assert SAME in reader.run("e1-keeps")


def test_keyboard_alone_suffices_when_a_cell_is_edited_completed_and_run(reader: Reader) -> None:
    """Shift-Enter runs, Ctrl-Space completes from the kernel, Escape leaves the editor."""
    reader.open(LAB)
    restart(reader)
    reader.run("setup")
    reader.write("e1-keeps", "eve")
    reader.page.keyboard.press("Control+Space")
    reader.cell("e1-keeps").locator(".cm-tooltip-autocomplete li", has_text="events").wait_for()
    reader.page.wait_for_timeout(100)  # for 75 ms the list takes no key, lest one was meant before
    reader.page.keyboard.press("Enter")
    reader.page.keyboard.press("Shift+Enter")
    reader.cell("e1-keeps").locator(".live-status[data-kind=other]").wait_for()
    assert reader.output("e1-keeps") == "['a', 'b', 'c']"
    reader.page.keyboard.press("Escape")
    focused = "document.activeElement.className"
    assert "live-editor" not in reader.page.evaluate(focused)
    reader.press("e1-keeps", "되돌리기")


def test_text_area_takes_the_editors_place_when_its_modules_are_missing(reader: Reader) -> None:
    """A first start without network has no CodeMirror; code can be edited all the same."""
    reader.page.route("**/client/vendor/**", lambda route: route.abort())
    reader.open(LAB)
    reader.press("e1-keeps", "고치기")
    area = reader.cell("e1-keeps").locator("textarea")
    area.fill("6 * 7")
    area.press("Shift+Enter")
    reader.cell("e1-keeps").locator(".live-status[data-kind=other]").wait_for()
    assert reader.output("e1-keeps") == "42"
    reader.press("e1-keeps", "되돌리기")


@pytest.mark.parametrize(
    "bomb",
    ['print("x" * 10_000_000)', "for n in range(10_000):\n    display(n)"],
    ids=["10 MB", "10,000 outputs"],
)
def test_page_stays_alive_when_a_cell_puts_out_too_much(reader: Reader, bomb: str) -> None:
    """The page shows a part, says so, and answers to a click within a second all the while."""
    reader.open(LAB)
    reader.page.evaluate(
        "() => { let last = performance.now(); window.gap = 0;"
        " setInterval(() => { const now = performance.now();"
        " window.gap = Math.max(window.gap, now - last); last = now; }, 20) }"
    )
    reader.write("e1-keeps", bomb)
    reader.press("e1-keeps", "실행")
    reader.cell("e1-keeps").locator(".live-note", has_text="출력을 줄였습니다").wait_for()
    assert len(reader.output("e1-keeps")) < 300_000
    assert reader.page.evaluate("window.gap") < 1000
    reader.page.get_by_role("button", name="멈추기").click()
    reader.press("e1-keeps", "되돌리기")
    reader.page.locator(".live-panel [data-state=idle]").wait_for()


def test_page_says_how_to_begin_when_the_reader_has_no_cookie(
    browser: Browser, live: LiveServer
) -> None:
    """No dead button: whoever opened the bare address reads what to open instead."""
    reader = Reader(browser, live)
    reader.page.goto(f"{reader.origin}/{LAB}")
    reader.page.locator(".lab-how", has_text="터미널에 나온 주소").wait_for()
    assert reader.page.get_by_role("button", name="실행").count() == 0
    reader.leave()


def test_controls_fit_when_the_window_is_narrow(browser: Browser, live: LiveServer) -> None:
    """390 px wide: every control is there and nothing scrolls sideways."""
    reader = Reader(browser, live, width=390)
    reader.greet()
    reader.open(LAB)
    reader.run("e1-loses")
    assert reader.page.evaluate("document.documentElement.scrollWidth") <= 390
    reader.leave()


def test_page_loads_itself_again_when_the_site_was_built_anew(
    browser: Browser, built: Project
) -> None:
    """With `--watch`: a change shows without a key pressed, and the draft is still there."""
    server = serve(built, watched=True)
    reader = Reader(browser, server)
    reader.greet()
    reader.open(LAB)
    reader.write("e1-keeps", "'내 코드'")
    reader.page.evaluate("document.documentElement.dataset.old = ''")
    reader.page.locator("html[data-watching]").wait_for()

    server.tell()

    reader.page.locator("html[data-live=ready]:not([data-old])").wait_for()
    reader.cell("e1-keeps").locator(".cm-content", has_text="내 코드").wait_for()
    reader.leave()
    server.close()
