"""B: how long a connection, a row lock and a remote call are held, as strips over one axis in ms.

Drawn with shares of the width and heights in pixels, so that one drawing fits every screen and its
text keeps its size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET

from handbook.figures import markup
from handbook.figures.glyphs import glyph
from handbook.figures.lanes import lane
from handbook.figures.markup import element

WHAT = {"conn": "커넥션", "rowlock": "행 락", "remote": "원격 호출"}
OUTCOMES = {
    "ok": ("끝남", "commit"),
    "commit": ("커밋", "commit"),
    "rollback": ("롤백", "abort"),
    "conflict": ("충돌", "abort"),
    "timeout": ("시간 초과", "crash"),
    "waiting": ("대기", "block"),
    "starved": ("얻지 못함", "crash"),
}
NOT_HELD = {"waiting", "starved"}
COLOURS = {"ok": "", "commit": "", "waiting": "fig-wait"}
PRODUCTS = {"postgres": "PostgreSQL", "kafka": "Kafka", "python": "Python", "machine": ""}
TITLE, ROW, BAR, AFTER = 30.0, 46.0, 14.0, 14.0
TICKS = 4
LEAST = 0.004  # of the width: what is shorter than a millisecond is still to be seen


def faults(data: dict[str, Any]) -> Iterator[str]:
    """What a schema cannot say: times are measured, run on, and a lock needs a connection."""
    if ("measured" in data) == ("sample" in data):
        yield "measured: recorded times say when and on what, invented ones must not"
    for number, strip in enumerate(data["strips"]):
        for place, span in enumerate(strip["spans"]):
            where = f"strips/{number}/spans/{place}"
            if span["to_ms"] < span["from_ms"]:
                yield f"{where}: ends at {span['to_ms']} ms, before it begins"
            elif _is_held_lock(span) and not _covered(span, strip["spans"]):
                yield f"{where}: no connection of `{span['who']}` is held as long as this row lock"


def _is_held_lock(span: dict[str, Any]) -> bool:
    return span["what"] == "rowlock" and span["outcome"] not in NOT_HELD


def _covered(lock: dict[str, Any], spans: list[dict[str, Any]]) -> bool:
    return any(
        span["what"] == "conn"
        and span["outcome"] not in NOT_HELD
        and span["who"] == lock["who"]
        and span["from_ms"] <= lock["from_ms"]
        and lock["to_ms"] <= span["to_ms"]
        for span in spans
    )


def render(data: dict[str, Any]) -> str:
    """The strips of measured spans (schema: spans), what they were measured on, and a table."""
    parts = [_picture(data), _legend(data)]
    if "measured" in data:
        parts.append(_measured(data["measured"]))
    return markup.html(*parts, markup.details(markup.TABLE, _table(data)))


def _picture(data: dict[str, Any]) -> ET.Element:
    end, step = _axis(max(span["to_ms"] for strip in data["strips"] for span in strip["spans"]))
    parts, y = [], 0.0
    for strip in data["strips"]:
        parts.append(_text("0", y + 18, strip["title"], "fig-name"))
        y += TITLE
        for span in strip["spans"]:
            parts += _span(span, y, end, alone=len({one["who"] for one in strip["spans"]}) == 1)
            y += ROW
        y += AFTER
    grid = list(_grid(end, step, y))
    title = f"점유 시간표: {', '.join(strip['title'] for strip in data['strips'])}"
    story = " ".join(f"{strip['title']}: {_story(strip)}." for strip in data["strips"])
    size = {"width": "100%", "height": y + 24, "font-size": 14}
    return markup.svg("fig-timeline", title, story, size, *grid, *parts)


def _story(strip: dict[str, Any]) -> str:
    return ", ".join(f"{_name(span)} {_range(span)}" for span in strip["spans"])


def _span(span: dict[str, Any], y: float, end: float, *, alone: bool) -> Iterator[ET.Element]:
    """A line of text, and below it the bar on its track."""
    word, _ = OUTCOMES[span["outcome"]]
    name = WHAT[span["what"]] if alone else _name(span)
    top = y + 22
    state = COLOURS.get(span["outcome"], "fig-bad")
    yield _text("0", y + 14, name, "fig-label")
    yield _text("100%", y + 14, f"{_range(span)} · {word}", f"fig-label fig-end {state}")
    yield element("rect", _box("0", "100%", top) | {"class": "fig-track"})
    held = max(span["to_ms"] - span["from_ms"], LEAST * end)
    box = _box(_share(span["from_ms"], end), _share(held, end), top)
    look = "wait" if span["outcome"] in NOT_HELD else span["what"]
    yield element("rect", box | {"class": f"fig-bar fig-bar--{look}"})
    if look == "rowlock":
        yield _hatching(span, top, end)
    place = {"x": _share(span["to_ms"], end), "y": top + BAR / 2, "class": "fig-over"}
    mark = glyph(OUTCOMES[span["outcome"]][1], lane(""))
    yield element("svg", place, element("g", {"transform": "translate(12 0)"}, mark))


def _hatching(span: dict[str, Any], top: float, end: float) -> ET.Element:
    middle = top + BAR / 2
    ends = {"x1": _share(span["from_ms"], end), "x2": _share(span["to_ms"], end)}
    return element("line", {**ends, "y1": middle, "y2": middle, "class": "fig-hatching"})


def _grid(end: float, step: float, bottom: float) -> Iterator[ET.Element]:
    for index in range(round(end / step) + 1):
        x = _share(index * step, end)
        yield element("line", {"x1": x, "x2": x, "y1": TITLE, "y2": bottom, "class": "fig-grid"})
        side = "" if index == 0 else " fig-end" if index * step >= end else " fig-middle"
        last = " ms" if index * step >= end else ""
        yield _text(x, bottom + 18, f"{index * step:,.0f}{last}", f"fig-tick{side}")


def _axis(longest: float) -> tuple[float, float]:
    """End and step of the axis: 1, 2 or 5 times a power of ten."""
    raw = max(longest, 1) / TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(step for factor in (1, 2, 2.5, 5, 10) if (step := factor * power) >= raw)
    return step * math.ceil(longest / step), step


def _legend(data: dict[str, Any]) -> ET.Element:
    spans = [span for strip in data["strips"] for span in strip["spans"]]
    held = {span["what"] for span in spans if span["outcome"] not in NOT_HELD}
    keys = [_key(what, name) for what, name in WHAT.items() if what in held]
    if any(span["outcome"] in NOT_HELD for span in spans):
        keys.append(_key("wait", "얻으려고 기다림"))
    return element("ul", {"class": "fig-legend"}, *keys)


def _key(look: str, name: str) -> ET.Element:
    box = {"x": -10, "y": -6, "width": 20, "height": 12, "class": f"fig-bar fig-bar--{look}"}
    shape = element("g", {}, element("rect", box))
    if look == "rowlock":
        hatching = {"x1": -10, "x2": 10, "y1": 0, "y2": 0, "class": "fig-hatching"}
        shape.append(element("line", hatching))
    return element("li", {}, markup.icon(shape, "fig-mark"), name)


def _measured(measured: dict[str, str]) -> ET.Element:
    """Times differ from machine to machine, so they never stand alone."""
    ran = [f"{PRODUCTS[key]} {measured[key]}".strip() for key in PRODUCTS if key in measured]
    text = f"{measured['date']}에 측정: {' · '.join(ran)}"
    return element("p", {"class": "fig-measured"}, text)


def _table(data: dict[str, Any]) -> ET.Element:
    rows = [
        [
            strip["title"],
            span["who"],
            WHAT[span["what"]],
            _range(span),
            OUTCOMES[span["outcome"]][0],
        ]
        for strip in data["strips"]
        for span in strip["spans"]
    ]
    return markup.table("점유한 시간", ["방식", "누가", "무엇", "언제", "결과"], rows)


def _name(span: dict[str, Any]) -> str:
    return f"{span['who']} {WHAT[span['what']]}"


def _range(span: dict[str, Any]) -> str:
    return f"{span['from_ms']:,}~{span['to_ms']:,} ms"


def _share(value: float, end: float) -> str:
    return f"{100 * value / end:.2f}%"


def _box(x: str, width: str, y: float) -> dict[str, object]:
    return {"x": x, "y": y, "width": width, "height": BAR, "rx": 2}


def _text(x: str, y: float, words: str, css: str) -> ET.Element:
    return element("text", {"x": x, "y": y, "class": css}, words)
