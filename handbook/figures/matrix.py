"""C, first part: which anomaly happens at which isolation level, and where that is recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from xml.etree import ElementTree as ET

from handbook.figures import markup
from handbook.figures.markup import element

WORDS = {True: ("✗", "일어남", "fig-verdict--bad"), False: ("✓", "막음", "fig-verdict--ok")}
RULES = {True: ("✗", "허용", "fig-verdict--bad"), False: ("✓", "금지", "fig-verdict--ok")}


def faults(data: dict[str, Any]) -> Iterator[str]:
    """What a schema cannot say: every case answers for every level, and for no other."""
    levels = {level["id"] for level in data["levels"]}
    for number, case in enumerate(data["cases"]):
        for missing in sorted(levels - case["results"].keys()):
            yield f"cases/{number}/results: level `{missing}` is missing"
        for unknown in sorted(case["results"].keys() - levels):
            yield f"cases/{number}/results: level `{unknown}` is not in `levels`"


def render(data: dict[str, Any]) -> str:
    """What was observed, and below it what the standard says (schema: matrix), as tables."""
    tables = [_table(data, data["title"], _cell)]
    if all("standard" in result for result in _results(data)):
        tables.append(_table(data, "SQL 표준이 허용하는 것", _rule))
    return markup.html(*tables, _legend(data))


def _table(
    data: dict[str, Any], caption: str, cell: Callable[[dict[str, Any]], ET.Element]
) -> ET.Element:
    """Cases down, levels across."""
    rows = [
        [_name(case), *(cell(case["results"][level["id"]]) for level in data["levels"])]
        for case in data["cases"]
    ]
    table = markup.table(caption, ["이상 현상", *(one["name"] for one in data["levels"])], rows)
    table.set("class", "fig-scroll fig-matrix")
    return table


def _name(case: dict[str, Any]) -> ET.Element:
    return element("span", {}, case["name"], element("code", {}, case["id"]))


def _results(data: dict[str, Any]) -> list[dict[str, Any]]:
    return [result for case in data["cases"] for result in case["results"].values()]


def _cell(result: dict[str, Any]) -> ET.Element:
    mark, word, css = WORDS[result["happens"]]
    state = result.get("sqlstate")
    inside: list[markup.Child] = [
        element("span", {"aria-hidden": "true"}, mark),
        f" {word}",
        element("code", {}, state) if state else None,
        _deviation(result),
    ]
    anchor = result.get("transcript")
    name, values = ("a", {"href": f"#{anchor}"}) if anchor else ("span", {})
    return element(name, {"class": f"fig-verdict {css}", **values}, *inside)


def _rule(result: dict[str, Any]) -> ET.Element:
    """What the SQL standard says of it."""
    mark, word, css = RULES[result["standard"]]
    differs = result["standard"] != result["happens"]
    return element(
        "span",
        {"class": f"fig-verdict {css}"},
        element("span", {"aria-hidden": "true"}, mark),
        f" {word}",
        element("small", {}, f"≠ {WORDS[result['happens']][1]}") if differs else None,
    )


def _deviation(result: dict[str, Any]) -> ET.Element | None:
    """Where the SQL standard says otherwise."""
    if result.get("standard", result["happens"]) == result["happens"]:
        return None
    allowed = "표준은 허용" if result["standard"] else "표준은 금지"
    return element("small", {}, f"≠ {allowed}")


def _legend(data: dict[str, Any]) -> ET.Element:
    parts = [
        "✓ 막음: 이 사례의 이상 현상이 보이지 않습니다.",
        "✗ 일어남: 이상 현상이 보입니다.",
    ]
    if any(_deviation(result) is not None for result in _results(data)):
        parts.append("≠: PostgreSQL이 SQL 표준과 다릅니다.")
    return element("ul", {"class": "fig-legend"}, *(element("li", {}, part) for part in parts))
