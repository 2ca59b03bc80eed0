"""D: recorded runs of a saga. Without the script a list of all; with it, radios choose one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET

from handbook.figures import markup, scene, space_time
from handbook.figures.lanes import lane
from handbook.figures.markup import element


def faults(data: dict[str, Any]) -> Iterator[str]:
    """What a schema cannot say: each run chooses one option of each axis, no two the same."""
    options = {axis["id"]: {one["id"] for one in axis["options"]} for axis in data["axes"]}
    seen: list[dict[str, str]] = []
    for number, run in enumerate(data["runs"]):
        chosen = run["chosen"]
        if chosen.keys() != options.keys() or any(
            chosen[key] not in options[key] for key in chosen
        ):
            yield f"runs/{number}: `chosen` must name one option of each axis"
        elif chosen in seen:
            yield f"runs/{number}: another run has the same `chosen`"
        seen.append(chosen)
        if isinstance(run["trace"], dict):
            yield from (f"runs/{number}/trace/{fault}" for fault in scene.faults(run["trace"]))


def render(data: dict[str, Any]) -> str:
    """The explorer (schema: explorer), the trace of each run already in the place of its name."""
    links = [
        element("li", {}, element("a", {"href": f"#{_anchor(data, run)}"}, _name(data, run)))
        for run in data["runs"]
    ]
    choices = [_axis(data, axis) for axis in data["axes"]]
    chooser = element("div", {"class": "explorer__choices", "hidden": "hidden"}, *choices)
    none = element("p", {"class": "explorer__none", "aria-live": "polite", "hidden": "hidden"})
    none.text = "이 조합으로 기록한 실행은 없습니다."
    index = element("ul", {"class": "explorer__index"}, *links)
    runs = [_run(data, run) for run in data["runs"]]
    return markup.html(element("div", {"class": "explorer"}, chooser, index, none, *runs))


def _axis(data: dict[str, Any], axis: dict[str, Any]) -> ET.Element:
    first = data["runs"][0]["chosen"][axis["id"]]
    labels = []
    for option in axis["options"]:
        name = f"{data['name']}-{axis['id']}"
        values = {"type": "radio", "name": name, "data-axis": axis["id"], "value": option["id"]}
        if option["id"] == first:
            values["checked"] = "checked"
        labels.append(element("label", {}, element("input", values), f" {option['name']}"))
    return element("fieldset", {}, element("legend", {}, axis["name"]), *labels)


def _run(data: dict[str, Any], run: dict[str, Any]) -> ET.Element:
    happened = scene.read(run["trace"])
    anchor = _anchor(data, run)
    values = {f"data-{axis}": option for axis, option in run["chosen"].items()}
    rows = [_rows(database) for database in run["databases"]]
    return element(
        "section",
        {"class": "explorer__run", "id": anchor, "aria-label": _name(data, run), **values},
        element("p", {"class": "explorer__name"}, element("strong", {}, _name(data, run))),
        *space_time.picture(happened),
        *space_time.legend(happened),
        element("div", {"class": "explorer__databases"}, *rows),
        _verdict(run["verdict"]),
        markup.details(markup.TABLE, space_time.table(happened)),
    )


def _rows(database: dict[str, Any]) -> ET.Element:
    """What is left in one database when everything has come to rest."""
    owner = lane(database["service"])
    kind = "" if database["service"] == "kafka" else " DB"
    name = element("span", {"class": f"fig-owner {owner.css}"}, f"{owner.mark} {owner.name}{kind}")
    rows = [
        element("li", {}, element("code", {}, ", ".join(f"{k}={v}" for k, v in row.items())))
        for row in database["rows"]
    ] or [element("li", {"class": "explorer__empty"}, "행 없음")]
    return element("div", {}, name, element("ul", {}, *rows))


def _verdict(verdict: dict[str, Any]) -> ET.Element:
    mark, css = ("✓", "fig-verdict--ok") if verdict["ok"] else ("✗", "fig-verdict--bad")
    sign = element("span", {"aria-hidden": "true"}, f"{mark} ")
    return element("p", {"class": f"fig-verdict {css}"}, sign, verdict["text"])


def _anchor(data: dict[str, Any], run: dict[str, Any]) -> str:
    return "-".join([data["name"], *(run["chosen"][axis["id"]] for axis in data["axes"])])


def _name(data: dict[str, Any], run: dict[str, Any]) -> str:
    names = [
        option["name"]
        for axis in data["axes"]
        for option in axis["options"]
        if option["id"] == run["chosen"][axis["id"]]
    ]
    return " · ".join(names)
