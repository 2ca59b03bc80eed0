"""Each kind of picture in detail: what is drawn where, and what is said about it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from bs4 import BeautifulSoup

from handbook.figures import explorer, matrix, space_time, space_time_svg, steps, timeline
from handbook.figures.scene import read
from handbook.figures.space_time_svg import SMALL_WIDTH

Parse = Callable[[str], BeautifulSoup]
Sample = Callable[[str], Any]


# A: space and time


def test_space_time_draws_each_event_once_in_either_width(sample: Sample, parsed: Parse) -> None:
    """Wide and narrow show the same points, arrows and labels."""
    data = sample("space-time")
    tree = parsed(space_time.render(data))
    for layout in (".fig-wide", ".fig-narrow"):
        assert len(tree.select(f"{layout} text.fig-label")) == len(data["events"])
        assert len(tree.select(f"{layout} .fig-message")) == 4
        assert len(tree.select(f"{layout} .fig-message--lost .fig-cross")) == 1
        assert len(tree.select(f"{layout} .fig-tx")) == 2


def test_space_time_cuts_the_lane_when_a_process_dies(sample: Sample, parsed: Parse) -> None:
    """After ✗ the lane is only a trace of dots, until the process acts again."""
    data = sample("space-time")
    tree = parsed(space_time.render(data))
    assert len(tree.select(".fig-wide .fig-gone")) == 1
    data["events"].pop()
    tree = parsed(space_time.render(data))
    assert tree.select(".fig-gone") == []
    course = tree.select(".fig-wide line.fig-lane.fig-lane--course")
    member = tree.select(".fig-wide line.fig-lane.fig-lane--member")
    assert float(str(course[-1]["y2"])) < float(str(member[-1]["y2"]))


def test_space_time_runs_downwards_in_order(sample: Sample) -> None:
    """No later event stands above an earlier one, and none touches the next."""
    scene = read(sample("space-time"))
    for draw in (space_time_svg.wide, space_time_svg.narrow):
        points = draw(scene, "", "").findall("g[@class='fig-point']")
        heights = [float(one.attrib["transform"].split()[1].rstrip(")")) for one in points]
        assert all(b - a >= 18 for a, b in pairwise(heights))


def test_space_time_keeps_labels_inside_when_they_are_long(sample: Sample, parsed: Parse) -> None:
    """A long label breaks into lines instead of running into the next lane."""
    data = sample("space-time")
    data["events"][2]["label"] = "다른 트랜잭션이 먼저 잡은 행 락이 풀릴 때까지 기다립니다"
    tree = parsed(space_time.render(data))
    label = tree.select(".fig-wide text.fig-label--block tspan")
    assert len(label) > 2
    assert parsed(space_time.render(data)).select_one(".fig-narrow")
    assert float(str(tree.select(".fig-narrow")[0]["viewbox"]).split()[2]) == SMALL_WIDTH


def test_space_time_marks_every_service_by_shape_and_name(saga: Any, parsed: Parse) -> None:
    """Colour is never the only difference."""
    tree = parsed(space_time.render(saga["runs"][0]["trace"]))
    marks = [
        (lane.select("circle, rect, polygon")[0].name, lane.get_text())
        for lane in tree.select(".fig-wide > g[class^=fig-lane]")
    ]
    assert marks == [("circle", "과정"), ("rect", "멤버"), ("polygon", "게시판")]


def test_space_time_legend_names_only_what_occurs(sample: Sample, parsed: Parse) -> None:
    """A legend explains this picture, not all pictures."""
    data = sample("space-time")
    words = [item.get_text() for item in parsed(space_time.render(data)).select(".fig-legend li")]
    assert words == ["커밋", "롤백", "대기", "유실", "죽음", "열린 트랜잭션"]
    data["events"] = data["events"][:2]
    data["events"][1].pop("tx")
    assert parsed(space_time.render(data)).select(".fig-legend") == []


def test_space_time_table_has_a_row_for_each_event(sample: Sample, parsed: Parse) -> None:
    """The table says who, what and which message, in the same order."""
    data = sample("space-time")
    rows = [
        [cell.get_text() for cell in row.select("th, td")]
        for row in parsed(space_time.render(data)).select("tbody tr")
    ]
    assert len(rows) == len(data["events"])
    assert rows[0] == ["1", "●\u00a0과정", "a1 보냄: INSERT", "sql", ""]
    assert rows[3] == ["4", "◇\u00a0과정\u00a0DB", "커밋", "", "t1"]


# B: times


def test_timeline_draws_bars_to_scale(sample: Sample, parsed: Parse) -> None:
    """A bar's place and length are its share of the axis."""
    tree = parsed(timeline.render(sample("spans")))
    bars = [
        (bar["x"], bar["width"])
        for bar in tree.select("rect.fig-bar[height='14.0'], rect.fig-bar[height='14']")
    ]
    assert bars[0] == ("0.00%", "54.67%")
    assert bars[-1] == ("16.67%", "83.33%")


def test_timeline_shows_a_bar_when_it_is_shorter_than_a_millisecond(
    sample: Sample, parsed: Parse
) -> None:
    """What begins and ends in one millisecond was held, too."""
    data = sample("spans")
    data["strips"][2]["spans"][1].update(from_ms=60, to_ms=60)
    (bar,) = [
        bar
        for bar in parsed(timeline.render(data)).select("rect.fig-bar--rowlock")
        if bar["x"] == "2.00%"
    ]
    assert bar["width"] == "0.40%"


@pytest.mark.parametrize(
    ("longest", "end", "step"),
    [(3000, 3000, 1000), (61, 80, 20), (7, 8, 2), (0, 1, 0.25), (1640, 2000, 500)],
)
def test_timeline_axis_has_round_steps(longest: float, end: float, step: float) -> None:
    """Ticks are 1, 2, 2.5 or 5 times a power of ten, and the last bar fits."""
    found = timeline._axis(longest)
    assert found[0] >= longest
    assert found == (max(end, found[1]), step) or longest == 0


def test_timeline_says_when_and_on_what_when_it_was_measured(sample: Sample, parsed: Parse) -> None:
    """A time without its date and versions is not shown; an invented one claims neither."""
    data = sample("spans")
    assert parsed(timeline.render(data)).select(".fig-measured") == []
    del data["sample"]
    assert "measured" in next(timeline.faults(data))
    data["measured"] = {
        "date": "2026-11-23",
        "python": "3.11.7",
        "machine": "Linux x86_64, 2 cores",
        "postgres": "18.4",
    }
    assert list(timeline.faults(data)) == []
    (said,) = parsed(timeline.render(data)).select(".fig-measured")
    assert said.get_text() == (
        "2026-11-23에 측정: PostgreSQL 18.4 · Python 3.11.7 · Linux x86_64, 2 cores"
    )


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"to_ms": 5000}, "no connection of `요청 1` is held as long"),
        ({"who": "요청 9"}, "no connection of `요청 9`"),
        ({"from_ms": 1700}, "before it begins"),
    ],
)
def test_timeline_is_red_when_a_lock_outlives_its_connection(
    sample: Sample, change: dict[str, Any], what: str
) -> None:
    """The gate checks how measured times relate, never the times themselves."""
    data = sample("spans")
    assert list(timeline.faults(data)) == []
    data["strips"][0]["spans"][1].update(change)
    assert what in next(timeline.faults(data))


@pytest.mark.parametrize(("outcome", "word"), [("waiting", "대기"), ("starved", "얻지 못함")])
def test_timeline_shows_a_wait_as_what_is_not_held(
    sample: Sample, parsed: Parse, outcome: str, word: str
) -> None:
    """Who waits for a connection holds none: another bar, named below, and no lock lives in it."""
    data = sample("spans")
    waits = data["strips"][-1]["spans"][-1]
    waits["outcome"] = outcome
    tree = parsed(timeline.render(data))
    assert tree.select(".fig-bar")[-1]["class"] == ["fig-bar", "fig-bar--wait"]
    assert tree.select(".fig-legend li")[-1].get_text() == "얻으려고 기다림"
    assert word in tree.select("table tr")[-1].get_text()
    data["strips"][-1]["spans"].append({**waits, "what": "rowlock", "outcome": "commit"})
    assert "no connection of `요청 2`" in next(timeline.faults(data))


# C: matrix and steps


def test_matrix_cell_says_mark_word_state_and_deviation(sample: Sample, parsed: Parse) -> None:
    """Sign, word and SQLSTATE stand together; where PostgreSQL differs from the standard, too."""
    seen, _ = parsed(matrix.render(sample("matrix"))).select("table")
    rows = seen.select("tbody tr")
    cells = [[cell.get_text() for cell in row.select("td")] for row in rows]
    assert cells[1] == ["✗ 일어남", "✓ 막음40001", "✓ 막음40001"]
    assert cells[2] == ["✗ 일어남", "✓ 막음≠ 표준은 허용", "✓ 막음"]
    assert cells[3][1] == "✗ 일어남≠ 표준은 금지"


def test_matrix_has_the_standard_below_when_it_is_known_of_every_cell(
    sample: Sample, parsed: Parse
) -> None:
    """The same cases and levels, with what the standard allows; a difference is marked there."""
    data = sample("matrix")
    _, standard = parsed(matrix.render(data)).select("table")
    rows = [row.get_text(" ", strip=True) for row in standard.select("tbody tr")]
    assert rows[0] == "더티 읽기 g1a ✓ 금지 ✓ 금지 ✓ 금지"
    assert rows[2] == "팬텀 읽기 pmp-read ✗ 허용 ✗ 허용 ≠ 막음 ✓ 금지"
    del data["cases"][0]["results"]["serializable"]["standard"]
    assert len(parsed(matrix.render(data)).select("table")) == 1


def test_matrix_legend_claims_no_more_than_the_case_shows(sample: Sample, parsed: Parse) -> None:
    """A case without its anomaly need not be serializable."""
    words = [item.get_text() for item in parsed(matrix.render(sample("matrix"))).select("ul > li")]
    assert words == [
        "✓ 막음: 이 사례의 이상 현상이 보이지 않습니다.",
        "✗ 일어남: 이상 현상이 보입니다.",
        "≠: PostgreSQL이 SQL 표준과 다릅니다.",
    ]


def test_matrix_cell_leads_to_its_transcript(sample: Sample, parsed: Parse) -> None:
    """Every claim with a transcript is a link to it."""
    links = parsed(matrix.render(sample("matrix"))).select("td a")
    assert [link["href"] for link in links] == ["#g2-item-serializable"]


def test_matrix_is_red_when_a_level_is_missing_or_unknown(sample: Sample) -> None:
    """An empty cell would read as «prevented»."""
    data = sample("matrix")
    assert list(matrix.faults(data)) == []
    results = data["cases"][0]["results"]
    results["chaos"] = results.pop("serializable")
    assert [fault.rpartition(": ")[2] for fault in matrix.faults(data)] == [
        "level `serializable` is missing",
        "level `chaos` is not in `levels`",
    ]


def test_steps_are_a_transcript_in_order(sample: Sample, parsed: Parse) -> None:
    """Session, statement, what came of it and the rows, step by step, without a script."""
    tree = parsed(steps.render(sample("steps-p4-read-committed")))
    items = [item.get_text(" ", strip=True) for item in tree.select("li")]
    assert items[0] == "T1 BEGIN 행 (id=1, value=10) · (id=2, value=20)"
    assert items[5].startswith("T2 UPDATE test SET value = 12 WHERE id = 1 대기: T1의 락")
    assert items[6] == "T1 COMMIT 행 (id=1, value=11) · (id=2, value=20)"
    assert "락을 얻음 → 1행" in items[7]
    (verdict,) = tree.select("p.fig-verdict")
    assert verdict.get_text() == "✗ T1의 갱신이 사라지고 T2의 값만 남습니다."


def test_steps_say_who_still_waits_when_another_session_acts(sample: Sample, parsed: Parse) -> None:
    """A session waits on while others act, until the one it waits for has ended."""
    data = sample("steps-p4-read-committed")
    data["steps"].insert(6, {**data["steps"][4], "sql": "SELECT 1"})
    queues = parsed(steps.render(data)).select(".steps__queue")
    assert [queue.get_text() for queue in queues] == ["기다림: T2 → T1"]


def test_steps_controls_are_hidden_until_a_script_answers_them(
    sample: Sample, parsed: Parse
) -> None:
    """No dead button."""
    (controls,) = parsed(steps.render(sample("steps-p4-read-committed"))).select(".steps__controls")
    assert controls.has_attr("hidden")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"session": "T9"}, "session `T9` is not in `sessions`"),
        ({"waits_for": "T9"}, "waits_for `T9` is not in `sessions`"),
        ({"state": "ran"}, "`waits_for` belongs to the state `waiting`"),
        ({"sqlstate": "40001"}, "`sqlstate` belongs to the state `error`"),
    ],
)
def test_steps_are_red_when_a_step_contradicts_itself(
    sample: Sample, change: dict[str, Any], what: str
) -> None:
    """A waiting step says for whom, an error says which, and nobody else does."""
    data = sample("steps-p4-read-committed")
    assert list(steps.faults(data)) == []
    data["steps"][5].update(change)
    assert what in next(steps.faults(data))


# D: explorer


def test_explorer_shows_every_run_with_picture_rows_and_verdict(saga: Any, parsed: Parse) -> None:
    """Without a script all runs are there, and a list leads to each."""
    tree = parsed(explorer.render(saga))
    runs = tree.select(".explorer__run")
    anchors = [run["id"] for run in runs]
    assert anchors == [
        "saga-reject-memory",
        "saga-reject-durable",
        "saga-death-memory",
        "saga-death-durable",
    ]
    assert [link["href"] for link in tree.select(".explorer__index a")] == [
        f"#{a}" for a in anchors
    ]
    assert not any(run.has_attr("hidden") for run in runs)
    for run in runs:
        assert len(run.select("svg[role=img]")) == 2
        assert len(run.select(".explorer__databases > div")) == 3
        assert run.select_one(".fig-verdict")
    assert "행 없음" in runs[0].get_text()
    assert runs[2].select_one(".fig-verdict--bad")


def test_explorer_is_red_when_runs_do_not_choose_one_of_each_axis(saga: Any) -> None:
    """Two runs for one choice, or a choice nobody offers, cannot be shown."""
    assert list(explorer.faults(saga)) == []
    saga["runs"][1]["chosen"]["record"] = "memory"
    saga["runs"][2]["chosen"]["fault"] = "gone"
    del saga["runs"][3]["chosen"]["record"]
    assert [fault.partition(":")[0] for fault in explorer.faults(saga)] == [
        "runs/1",
        "runs/2",
        "runs/3",
    ]
