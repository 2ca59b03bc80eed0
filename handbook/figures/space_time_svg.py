"""Geometry of the space-time diagram: one drawing, two layouts. Lengths are pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree as ET

from handbook.figures import text
from handbook.figures.glyphs import cross, glyph
from handbook.figures.lanes import shape
from handbook.figures.markup import element, svg
from handbook.figures.scene import WORDS, Event, Message, Scene

Side = Literal["beside", "above", "below"]

WIDTH, FONT, LINE = 672.0, 14.0, 19.0
SMALL_WIDTH, SMALL_FONT, SMALL_LINE = 300.0, 15.0, 21.0
GAP = 14.0


@dataclass(frozen=True)
class Label:
    """An event's text: where it starts, line by line."""

    x: float
    y: float
    lines: tuple[str, ...]
    owner: str = ""


@dataclass(frozen=True)
class Drawing:
    """Where everything is. `y` holds a height for each row, `x` a place for each lane."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    top: tuple[float, ...]
    labels: tuple[Label, ...]
    width: float
    height: float
    font: float
    line: float

    def at(self, event: Event) -> tuple[float, float]:
        """The point of an event."""
        return self.x[event.lane], self.y[event.row - 1]


def wide(scene: Scene, title: str, story: str) -> ET.Element:
    """Lanes as columns over the whole measure, labels in their column."""
    column = min(WIDTH / len(scene.lanes), 240.0)
    x = tuple(14.0 + column * index for index in range(len(scene.lanes)))
    y, labels, bottom = [], [], 50.0
    for event in scene.events:
        lines = text.wrap(_label(scene, event), FONT, column - 2 * GAP - 4)
        side = _side(scene, event)
        over = len(lines) * LINE
        rise = {"beside": over / 2, "above": over + 3, "below": 12.0}[side]
        fall = {"beside": over / 2, "above": 10.0, "below": over + 8}[side]
        y.append(bottom + max(rise, 14.0) + 4)
        first = (
            y[-1] + {"beside": 5 - (over - LINE) / 2, "above": LINE - over - 8, "below": 19.0}[side]
        )
        labels.append(Label(x[event.lane] + GAP + 2, first, tuple(lines)))
        bottom = y[-1] + max(fall, 14.0)
    width = column * len(scene.lanes)
    places = (x, tuple(y), (34.0,) * len(x), tuple(labels), width, bottom + 16)
    drawing = Drawing(*places, FONT, LINE)
    return _svg("fig-wide", drawing, scene, title, story, list(_columns(drawing, scene)))


def narrow(scene: Scene, title: str, story: str) -> ET.Element:
    """Lanes as a graph on the left, their names as steps at the top, a row of text per event."""
    gap = 28.0 if len(scene.lanes) < 5 else 20.0
    x = tuple(11.0 + gap * index for index in range(len(scene.lanes)))
    top = tuple(22.0 + 24.0 * index for index in range(len(scene.lanes)))
    start = x[-1] + 22
    y, labels, bottom = [], [], top[-1] + 12
    for event in scene.events:
        lines = text.wrap(_row(scene, event), SMALL_FONT, SMALL_WIDTH - start)
        half = max(len(lines) * SMALL_LINE / 2, 13.0)
        y.append(bottom + half + 5)
        first = y[-1] + 5 - (len(lines) - 1) * SMALL_LINE / 2
        labels.append(Label(start, first, tuple(lines), scene.lanes[event.lane].name))
        bottom = y[-1] + half + 5
    places = (x, tuple(y), top, tuple(labels), SMALL_WIDTH, bottom + 8)
    drawing = Drawing(*places, SMALL_FONT, SMALL_LINE)
    return _svg("fig-narrow", drawing, scene, title, story, list(_steps(drawing, scene)))


def _svg(
    css: str, drawing: Drawing, scene: Scene, title: str, story: str, extra: list[ET.Element]
) -> ET.Element:
    size = {
        "viewBox": f"0 0 {drawing.width:g} {drawing.height:g}",
        "width": drawing.width,
        "height": drawing.height,
        "font-size": drawing.font,
    }
    layers = [
        *_lanes(drawing, scene),
        *_transactions(drawing, scene),
        *extra,
        *(_arrow(drawing, message) for message in scene.messages),
        *_points(drawing, scene),
        *_labels(drawing, scene),
    ]
    return svg(css, title, story, size, *layers)


# What an event says


def _label(scene: Scene, event: Event) -> str:
    """In its own lane: the arrow already says that something is received."""
    arrival = scene.arrival(event)
    repeated = arrival is not None and arrival.origin.label == event.label
    words = WORDS[event.kind] if repeated and event.kind == "recv" else event.label
    return f"{event.ref} {words}" if event.ref else words


def _row(scene: Scene, event: Event) -> str:
    """In a row of its own: who first."""
    name = scene.lanes[event.lane].name
    arrow = scene.arrow(event)
    to = f" → {scene.lanes[arrow.lane].name}" if arrow and event.kind == "send" else ""
    return f"{name}{to} · {_label(scene, event)}"


def _side(scene: Scene, event: Event) -> Side:
    """Keep the label off the arrow that leaves or arrives on its side."""
    leaves, arrives = scene.arrow(event), scene.arrival(event)
    if leaves and leaves.lane > event.lane:
        return "above"
    if arrives and arrives.origin.lane > event.lane:
        return "below"
    return "beside"


# Layers, from the bottom up


def _lanes(drawing: Drawing, scene: Scene) -> Iterator[ET.Element]:
    """Each lane's line: cut by a crash, taken up again by the next event of the lane."""
    for index, lane in enumerate(scene.lanes):
        x, since, alive = drawing.x[index], drawing.top[index], True
        for event in (one for one in scene.events if one.lane == index):
            here = drawing.y[event.row - 1]
            if not alive:
                yield _line(x, since + 10, x, here, f"fig-lane {lane.css} fig-gone")
                since, alive = here, True
            if event.kind == "crash":
                yield _line(x, since, x, here, f"fig-lane {lane.css}")
                since, alive = here, False
        if alive:
            yield _line(x, since, x, drawing.height - 4, f"fig-lane {lane.css}")


def _transactions(drawing: Drawing, scene: Scene) -> Iterator[ET.Element]:
    for tx in scene.transactions:
        x, top, bottom = drawing.x[tx.lane], drawing.y[tx.since - 1], drawing.y[tx.until - 1]
        box = {"x": x - 5, "y": top - 8, "width": 10, "height": bottom - top + 8}
        yield element("rect", {"class": f"fig-tx {scene.lanes[tx.lane].css}", **box})


def _columns(drawing: Drawing, scene: Scene) -> Iterator[ET.Element]:
    """Names above the lanes."""
    for x, lane in zip(drawing.x, scene.lanes, strict=True):
        name = element("text", {"x": 12, "y": 5, "class": "fig-name"}, lane.name)
        place = f"translate({x:g} 18)"
        yield element("g", {"class": lane.css, "transform": place}, shape(lane, 6.0), name)


def _steps(drawing: Drawing, scene: Scene) -> Iterator[ET.Element]:
    """Names as a staircase, then a thin leader from each point to its row of text."""
    for x, top, lane in zip(drawing.x, drawing.top, scene.lanes, strict=True):
        name = element("text", {"x": 13, "y": 5, "class": "fig-name"}, lane.name)
        place = f"translate({x:g} {top - 10:g})"
        yield element("g", {"class": lane.css, "transform": place}, shape(lane, 6.0), name)
    for event in scene.events:
        x, y = drawing.at(event)
        if event.lane < len(scene.lanes) - 1:
            yield _line(x + 12, y, drawing.x[-1] + 14, y, "fig-leader")


def _arrow(drawing: Drawing, message: Message) -> ET.Element:
    """The arrow stops short of both points; a lost one ends in ✗ on its way."""
    x1, y1 = drawing.at(message.origin)
    x2, y2 = _target(drawing, message)
    length = math.hypot(x2 - x1, y2 - y1) or 1.0
    dx, dy = (x2 - x1) / length, (y2 - y1) / length
    stop = 0.0 if message.lost else 9.0
    start, end = (x1 + 8 * dx, y1 + 8 * dy), (x2 - stop * dx, y2 - stop * dy)
    css = "fig-message fig-message--lost" if message.lost else "fig-message"
    parts = [_line(*start, *end, "fig-arrow")]
    if message.lost:
        place = {"transform": f"translate({x2:g} {y2:g})"}
        parts.append(element("g", place, cross(5.5)))
    else:
        parts.append(_head(end, dx, dy))
    return element("g", {"class": css, "data-msg": message.msg}, *parts)


def _target(drawing: Drawing, message: Message) -> tuple[float, float]:
    if message.end is not None and message.end.lane != message.origin.lane:
        return drawing.at(message.end)
    x, y = drawing.at(message.origin)
    below = drawing.y[message.end.row - 1] if message.end else y + 22
    return x + 0.6 * (drawing.x[message.lane] - x), below


def _head(tip: tuple[float, float], dx: float, dy: float) -> ET.Element:
    x, y = tip
    back, side = 9.0, 4.5
    corners = [
        (x, y),
        (x - back * dx - side * dy, y - back * dy + side * dx),
        (x - back * dx + side * dy, y - back * dy - side * dx),
    ]
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in corners)
    return element("polygon", {"class": "fig-head", "points": points})


def _points(drawing: Drawing, scene: Scene) -> Iterator[ET.Element]:
    for event in scene.events:
        arrival = scene.arrival(event)
        if event.kind == "lost" and arrival is not None:
            continue  # the arrow already ends in its cross
        x, y = drawing.at(event)
        values = {"class": "fig-point", "transform": f"translate({x:g} {y:g})"}
        if event.msg:
            values["data-msg"] = event.msg
        yield element("g", values, glyph(event.kind, scene.lanes[event.lane]))


def _labels(drawing: Drawing, scene: Scene) -> Iterator[ET.Element]:
    for event, label in zip(scene.events, drawing.labels, strict=True):
        first, *rest = label.lines
        lines = [
            element("tspan", {"x": label.x, "dy": 0}, *_owned(label.owner, first, scene, event)),
            *(element("tspan", {"x": label.x, "dy": drawing.line}, line) for line in rest),
        ]
        css = f"fig-label fig-label--{event.kind}"
        values: dict[str, object] = {"class": css, "x": label.x, "y": label.y}
        yield element("text", values | ({"data-msg": event.msg} if event.msg else {}), *lines)


def _owned(owner: str, line: str, scene: Scene, event: Event) -> Iterator[ET.Element | str]:
    """A row of text begins with the one who acts, in the colour of the lane."""
    if owner and line.startswith(owner):
        css = f"fig-name {scene.lanes[event.lane].css}"
        yield element("tspan", {"class": css}, owner)
        line = line.removeprefix(owner)
    yield line


def _line(x1: float, y1: float, x2: float, y2: float, css: str) -> ET.Element:
    return element("line", {"class": css, "x1": x1, "y1": y1, "x2": x2, "y2": y2})
