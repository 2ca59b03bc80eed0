"""Elements of HTML and SVG, escaped by the standard library, and the parts that figures share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias
from xml.etree import ElementTree as ET

Child: TypeAlias = "ET.Element | str | None"
Row: TypeAlias = "Sequence[Child]"

TABLE = "표로 보기"


def element(
    name: str, attributes: Mapping[str, object] | None = None, *children: Child
) -> ET.Element:
    """An element; text among the children is escaped when it is written, `None` is left out."""
    made = ET.Element(name, {key: _value(value) for key, value in (attributes or {}).items()})
    for child in children:
        if isinstance(child, ET.Element):
            made.append(child)
        elif child and len(made):
            made[-1].tail = made[-1].tail + child if made[-1].tail else child
        elif child:
            made.text = made.text + child if made.text else child
    return made


def _value(value: object) -> str:
    return f"{round(value, 1):g}" if isinstance(value, float) else str(value)


def html(*roots: ET.Element) -> str:
    """The elements as HTML."""
    return "\n".join(ET.tostring(root, encoding="unicode", method="html") for root in roots)


def svg(
    css_class: str, title: str, description: str, size: Mapping[str, object], *children: Child
) -> ET.Element:
    """A picture with a name and a description. The table beside it says the same, part by part."""
    return element(
        "svg",
        {"class": css_class, "role": "img", "aria-label": title, **size},
        element("title", {}, title),
        element("desc", {}, description),
        *children,
    )


def icon(shape: ET.Element, css_class: str) -> ET.Element:
    """A mark of a picture in running text, where the word beside it says the same."""
    box = {"viewBox": "-11 -11 22 22", "width": 22, "height": 22}
    return element("svg", {"class": f"fig-icon {css_class}", "aria-hidden": "true", **box}, shape)


def table(caption: str, headers: Sequence[str], rows: Iterable[Row]) -> ET.Element:
    """A table that scrolls inside; the first column names the row."""
    head = element("tr", {}, *(element("th", {"scope": "col"}, header) for header in headers))
    body = [
        element("tr", {}, element("th", {"scope": "row"}, first), *map(_cell, rest))
        for first, *rest in rows
    ]
    return scroll(
        caption,
        element(
            "table",
            {"class": "fig-table"},
            element("caption", {}, caption),
            element("thead", {}, head),
            element("tbody", {}, *body),
        ),
    )


def scroll(label: str, *children: Child) -> ET.Element:
    """A box that scrolls sideways, by keyboard too, so that the page never does."""
    values = {"class": "fig-scroll", "role": "group", "aria-label": label, "tabindex": 0}
    return element("div", values, *children)


def details(summary: str, *children: Child) -> ET.Element:
    """Closed on the screen, open in print."""
    return element("details", {"class": "fig-details"}, element("summary", {}, summary), *children)


def _cell(child: Child) -> ET.Element:
    return element("td", {}, child)
