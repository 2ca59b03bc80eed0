"""A: who did what in which order, and which message reached whom. Time runs downwards.

Drawn twice from one scene: wide, with each label in its lane, and narrow, with the lanes as a graph
on the left and a row of text for each event. The style sheet shows the one that fits.
"""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

from handbook.figures import markup
from handbook.figures.glyphs import glyph
from handbook.figures.lanes import lane
from handbook.figures.markup import element
from handbook.figures.scene import WORDS, Event, Scene, faults, read
from handbook.figures.space_time_svg import narrow, wide

__all__ = ["faults", "legend", "picture", "render", "table"]

LEGEND = ("commit", "abort", "block", "lost", "crash")


def render(data: dict[str, Any]) -> str:
    """The diagram of a trace (schema: trace), with its legend and its table."""
    scene = read(data)
    return markup.html(*picture(scene), *legend(scene), markup.details(markup.TABLE, table(scene)))


def picture(scene: Scene) -> list[ET.Element]:
    """Both drawings; only one of them is shown, so only one is read aloud."""
    title = f"시공간 그림: {', '.join(lane.name for lane in scene.lanes)}"
    story = ". ".join(
        f"{event.row} {scene.lanes[event.lane].name} {event.says}" for event in scene.events
    )
    return [wide(scene, title, f"{story}."), narrow(scene, title, f"{story}.")]


def legend(scene: Scene) -> list[ET.Element]:
    """The marks that occur, each with its word; nothing when there are none."""
    kinds = {event.kind for event in scene.events}
    if any(message.lost for message in scene.messages):
        kinds.add("lost")
    neutral = lane("")
    items = [
        element("li", {}, markup.icon(glyph(kind, neutral), "fig-mark"), WORDS[kind])
        for kind in LEGEND
        if kind in kinds
    ]
    if scene.transactions:
        bar = element("rect", {"class": "fig-tx", "x": -5, "y": -10, "width": 10, "height": 20})
        items.append(element("li", {}, markup.icon(bar, "fig-mark"), "열린 트랜잭션"))
    return [element("ul", {"class": "fig-legend"}, *items)] if items else []


def table(scene: Scene) -> ET.Element:
    """The same as text: a row for each event."""
    columns: list[str] = ["순서", "누가", "무엇"]
    optional = {"msg": "메시지", "tx": "트랜잭션"}
    used = [name for name in optional if any(getattr(event, name) for event in scene.events)]
    rows = [[str(event.row), *_cells(scene, event, used)] for event in scene.events]
    return markup.table("일어난 순서", columns + [optional[name] for name in used], rows)


def _cells(scene: Scene, event: Event, used: list[str]) -> list[markup.Child]:
    owner = scene.lanes[event.lane]
    says = f"{event.ref} {event.says}" if event.ref else event.says
    # Mark and name stay on one line, however narrow the table.
    who = f"{owner.mark} {owner.name}".replace(" ", "\u00a0")
    cells: list[markup.Child] = [who, says]
    for name in used:
        value = getattr(event, name) or ""
        values = {"data-msg": value} if name == "msg" and value else {}
        cells.append(element("span", values, value))
    return cells
