"""Who a lane belongs to: name, token and mark. Colour is never the only difference."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree as ET

from handbook.figures.markup import element

SERVICES = {"course": ("과정", "●"), "member": ("멤버", "■"), "board": ("게시판", "▲")}
NEUTRAL = {
    "kafka": "Kafka",
    "relay": "릴레이",
    "saga": "사가",
    "client": "사용자",
    "course-db": "과정 DB",
    "member-db": "멤버 DB",
    "board-db": "게시판 DB",
}


@dataclass(frozen=True)
class Lane:
    """One vertical line. `css` carries the colour token."""

    key: str
    name: str
    mark: str
    css: str


def lane(key: str) -> Lane:
    """The lane of that key; everything that is no service is neutral."""
    if key in SERVICES:
        name, mark = SERVICES[key]
        return Lane(key, name, mark, f"fig-lane--{key}")
    return Lane(key, NEUTRAL.get(key, key), "◇", "fig-lane--neutral")


def shape(owner: Lane, radius: float = 5.0) -> ET.Element:
    """The lane's mark around the origin."""
    r = radius
    match owner.mark:
        case "●":
            return element("circle", {"r": r, "fill": "currentColor"})
        case "■":
            box = {"x": -r, "y": -r, "width": 2 * r, "height": 2 * r}
            return element("rect", {**box, "fill": "currentColor"})
        case "▲":
            corners = f"0,{-1.2 * r:g} {1.2 * r:g},{0.95 * r:g} {-1.2 * r:g},{0.95 * r:g}"
            return element("polygon", {"points": corners, "fill": "currentColor"})
        case _:
            corners = f"0,{-1.2 * r:g} {1.2 * r:g},0 0,{1.2 * r:g} {-1.2 * r:g},0"
            return element("polygon", {"points": corners, "class": "fig-hollow"})
