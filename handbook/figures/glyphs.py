"""What an event looks like at its point: every kind has a shape of its own, drawn about 0,0."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from handbook.figures.lanes import Lane, shape
from handbook.figures.markup import element


def glyph(kind: str, owner: Lane) -> ET.Element:
    """The mark of an event of this kind in its lane."""
    match kind:
        case "commit":
            return _disc("fig-ok", "M-4 0.2 L-1.2 3.2 L4.2 -3.2")
        case "abort":
            return _ring("fig-bad", "M4.2 0 H-3.6 M-0.6 -3.2 L-3.8 0 L-0.6 3.2")
        case "block":
            return _disc("fig-wait", "M-2 -3.4 V3.4 M2 -3.4 V3.4")
        case "crash":
            return cross(7.0)
        case "lost":
            return cross(5.5)
        case _:
            return element("g", {"class": owner.css}, shape(owner))


def cross(radius: float) -> ET.Element:
    """✗: something ended that should not have."""
    r = radius
    path = f"M{-r:g} {-r:g} L{r:g} {r:g} M{-r:g} {r:g} L{r:g} {-r:g}"
    return element("path", {"class": "fig-bad fig-cross", "d": path})


def _disc(css: str, path: str) -> ET.Element:
    disc = element("circle", {"r": 9, "class": "fig-disc"})
    return element("g", {"class": css}, disc, element("path", {"class": "fig-inside", "d": path}))


def _ring(css: str, path: str) -> ET.Element:
    ring = element("circle", {"r": 9, "class": "fig-ring"})
    return element("g", {"class": css}, ring, element("path", {"class": "fig-line", "d": path}))
