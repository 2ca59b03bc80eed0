"""The script in a real Chromium, under a strict content policy; and the page without it."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from handbook import paths
from handbook.figures import explorer, markup, prediction, space_time, steps

pytestmark = pytest.mark.browser

Show = Callable[..., Page]
Sample = Callable[[str], Any]
SCRIPT = paths.ROOT / "theme/assets/javascripts/figures.js"


def card() -> str:
    """A prediction card whose second choice is right."""
    asked = prediction.Prediction(
        "p", "몇 개입니까?", ["0개", "3개", "30개"], 1, "lost=3", "01-demo", "#x", ["설명입니다."]
    )
    return markup.html(prediction.card(asked))


def space(sample: Sample) -> str:
    """The space-time sample as a page shows it."""
    drawn = space_time.render(sample("space-time"))
    return f'<figure class="figure figure--space-time">{drawn}</figure>'


def test_script_is_small() -> None:
    """One script for all pictures: at most 6 KB on the wire."""
    assert len(gzip.compress(SCRIPT.read_bytes(), 9)) <= 6 * 1024


def test_steps_play_by_button_and_arrow_key(show: Show, sample: Sample) -> None:
    """Each step is marked and said; the ends hold, and the whole comes back."""
    page = show(steps.render(sample("steps-p4-read-committed")))
    on, back = page.get_by_label("다음 단계"), page.get_by_label("앞 단계")
    now, say = page.locator("li.is-now"), page.locator(".steps__say")
    assert say.get_attribute("aria-live") == "polite"
    on.click()
    expect(now).to_contain_text("BEGIN")
    page.keyboard.press("ArrowRight")
    expect(say).to_contain_text("2/9 T2 BEGIN")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    expect(say).to_contain_text("대기: T1의 락")
    expect(say).to_contain_text("행 (id=1, value=10)")
    for _ in range(9):  # beyond the end, where the button no longer answers
        page.keyboard.press("ArrowRight")
    expect(say).to_contain_text("9/9")
    expect(on).to_have_attribute("aria-disabled", "true")
    page.keyboard.press("ArrowLeft")
    expect(say).to_contain_text("8/9")
    expect(page.locator("li.is-past")).to_have_count(7)
    page.get_by_role("button", name="모두 보기").click()
    expect(now).to_have_count(0)
    expect(back).to_have_attribute("aria-disabled", "true")


def test_steps_leave_other_keys_alone(show: Show, sample: Sample) -> None:
    """Alt and an arrow belong to the browser."""
    page = show(steps.render(sample("steps-p4-read-committed")))
    page.get_by_label("다음 단계").focus()
    page.keyboard.press("Control+ArrowRight")
    page.keyboard.press("a")
    expect(page.locator("li.is-now")).to_have_count(0)


def test_steps_are_all_there_without_the_script(show: Show, sample: Sample) -> None:
    """The transcript reads from top to bottom, and no dead button shows."""
    page = show(steps.render(sample("steps-p4-read-committed")), script=False)
    assert [item.is_visible() for item in page.locator("li").all()] == [True] * 9
    expect(page.locator(".steps__controls")).to_be_hidden()


def test_explorer_shows_the_chosen_run_and_keeps_it_in_the_address(show: Show, saga: Any) -> None:
    """Radios choose, one run shows, the address remembers."""
    page = show(explorer.render(saga))
    runs = page.locator(".explorer__run:visible")
    expect(runs).to_have_count(1)
    expect(runs).to_have_id("saga-reject-memory")
    page.get_by_role("radio", name="도중에 조정자가 죽음").check()
    expect(runs).to_have_id("saga-death-memory")
    page.keyboard.press("Enter")
    assert page.url.endswith("#saga-death-memory")
    page.get_by_role("radio", name="영속 기록에 둠").check()
    expect(runs).to_have_id("saga-death-durable")
    page.evaluate("location.hash = '#saga-reject-durable'")
    expect(runs).to_have_id("saga-reject-durable")
    expect(page.get_by_role("radio", name="거절됨")).to_be_checked()


def test_explorer_opens_the_run_that_the_address_names(show: Show, saga: Any) -> None:
    """A link shared with a colleague shows the same run, radios included."""
    page = show(explorer.render(saga), anchor="#saga-death-durable")
    expect(page.locator(".explorer__run:visible")).to_have_id("saga-death-durable")
    expect(page.get_by_role("radio", name="영속 기록에 둠")).to_be_checked()


def test_explorer_says_so_when_nothing_was_recorded(show: Show, saga: Any) -> None:
    """A combination that no lab ran is not invented."""
    saga["runs"].pop()
    page = show(explorer.render(saga))
    page.get_by_role("radio", name="도중에 조정자가 죽음").check()
    page.get_by_role("radio", name="영속 기록에 둠").check()
    expect(page.locator(".explorer__run:visible")).to_have_count(0)
    expect(page.locator(".explorer__none")).to_be_visible()


def test_explorer_is_a_list_without_the_script(show: Show, saga: Any) -> None:
    """Every run is there, and the links lead to them."""
    page = show(explorer.render(saga), script=False)
    assert [run.is_visible() for run in page.locator(".explorer__run").all()] == [True] * 4
    expect(page.locator(".explorer__choices")).to_be_hidden()
    page.locator(".explorer__index a").last.click()
    expect(page.locator(".explorer__run:target")).to_have_id("saga-death-durable")


def test_explorer_prints_every_run(show: Show, saga: Any) -> None:
    """Paper has no radios."""
    page = show(explorer.render(saga))
    page.emulate_media(media="print")
    assert [run.is_visible() for run in page.locator(".explorer__run").all()] == [True] * 4


@pytest.mark.parametrize(
    ("choice", "verdict"), [("3개", "같습니다"), ("0개", "다릅니다. 실행 결과는 «3개»입니다.")]
)
def test_prediction_compares_the_choice_with_the_run(show: Show, choice: str, verdict: str) -> None:
    """First a choice, then the verdict and the proof; nothing is given away before."""
    page = show(card())
    button = page.get_by_role("button", name="맞춰 보기")
    answer = page.locator("details")
    button.click()
    expect(page.get_by_role("status")).to_contain_text("먼저 하나를 고릅니다")
    expect(answer).not_to_have_attribute("open", "")
    page.get_by_label(choice, exact=True).check()
    expect(answer).not_to_have_attribute("open", "")
    button.click()
    expect(page.get_by_role("status")).to_contain_text(verdict)
    expect(answer).to_have_attribute("open", "")


def test_prediction_has_its_answer_without_the_script(show: Show) -> None:
    """The question, the choices and, when opened, the answer; no dead button."""
    page = show(card(), script=False)
    expect(page.get_by_role("button", name="맞춰 보기")).to_be_hidden()
    page.locator("summary").click()
    expect(page.get_by_text("설명입니다.")).to_be_visible()


def test_message_lights_up_with_its_ends_and_rows(show: Show, sample: Sample) -> None:
    """Focus on a message in the table marks its arrows, points and rows."""
    page = show(space(sample))
    page.locator("summary").click()
    page.get_by_role("button", name="event").first.focus()
    assert page.locator(".fig-wide .fig-message.is-lit").count() == 2
    assert page.locator(".fig-wide .fig-message:not(.is-lit)").count() == 2
    assert page.locator("tr.is-lit").count() == 3
    page.locator("summary").focus()
    assert page.locator(".is-lit").count() == 0
    page.locator(".fig-wide .fig-message .fig-head").first.hover()
    assert page.locator("tr.is-lit").count() == 2


@pytest.mark.parametrize(
    ("width", "shown"), [(1280, ".fig-wide"), (390, ".fig-narrow"), (320, ".fig-narrow")]
)
def test_one_drawing_shows_and_fits(show: Show, sample: Sample, width: int, shown: str) -> None:
    """Columns where there is room, a graph with rows where there is none; no sideways scroll."""
    page = show(space(sample), width=width)
    drawings = page.locator("svg[role=img]:visible")
    expect(drawings).to_have_count(1)
    assert shown.removeprefix(".") in (drawings.get_attribute("class") or "")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    size = "parseFloat(getComputedStyle(e).fontSize) * e.getScreenCTM().a"
    small = page.locator(f"{shown} text").evaluate_all(f"all => Math.min(...all.map(e => {size}))")
    assert small >= 13.9


def test_figures_start_again_when_the_theme_replaces_the_page(
    show: Show, sample: Sample, tmp_path: Path
) -> None:
    """With instant navigation a new page comes alive, and nothing is started twice."""
    (tmp_path / "site/theme.js").write_text(
        "window.document$ = {all: [], subscribe(f) { this.all.push(f); f() },"
        " next() { this.all.forEach((f) => f()) }};",
        "utf-8",
    )
    page = show(steps.render(sample("steps-p4-read-committed")), before="theme.js")
    page.evaluate("document$.next()")
    page.get_by_label("다음 단계").click()
    expect(page.locator(".steps__say")).to_contain_text("1/9")
    page.evaluate("html => { document.body.innerHTML = html; document$.next() }", card())
    expect(page.get_by_role("button", name="맞춰 보기")).to_be_visible()


def test_motion_stops_when_the_reader_asks_for_it(show: Show, sample: Sample) -> None:
    """`prefers-reduced-motion` leaves no transition."""
    page = show(space(sample))
    duration = "getComputedStyle(document.querySelector('.fig-message')).transitionDuration"
    assert page.evaluate(duration) != "0s"
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(duration) == "0s"
