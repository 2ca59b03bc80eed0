"""C, second part: one case step by step. The transcript is a list; the script makes it a player."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET

from handbook.figures import markup
from handbook.figures.glyphs import glyph
from handbook.figures.lanes import lane
from handbook.figures.markup import element

ENDS = {"COMMIT", "END", "ROLLBACK", "ABORT"}
GLYPHS = {"waiting": "block", "error": "crash"}


def faults(data: dict[str, Any]) -> Iterator[str]:
    """What a schema cannot say: sessions are declared, and who waits says for whom."""
    for number, step in enumerate(data["steps"]):
        where = f"steps/{number}"
        for role in ("session", "waits_for"):
            if role in step and step[role] not in data["sessions"]:
                yield f"{where}: {role} `{step[role]}` is not in `sessions`"
        if (step["state"] == "waiting") != ("waits_for" in step):
            yield f"{where}: `waits_for` belongs to the state `waiting`, and to no other"
        if (step["state"] == "error") != ("sqlstate" in step):
            yield f"{where}: `sqlstate` belongs to the state `error`, and to no other"


def render(data: dict[str, Any]) -> str:
    """The transcript of a case at a level (schema: steps)."""
    head = element("p", {"class": "steps__head"}, element("strong", {}, data["title"]))
    head.append(element("code", {}, data["level"]))
    names = [
        element("span", {"class": _column(data, one), "aria-hidden": "true"}, f"세션 {one}")
        for one in data["sessions"]
    ]
    columns = element("div", {"class": "steps__sessions"}, *names)
    steps = element("ol", {"class": "steps__list"}, *_items(data))
    css = f"steps steps--{len(data['sessions'])}"
    values = {"class": css, "role": "group", "aria-label": f"{data['title']} {data['level']}"}
    verdict = _verdict(data["verdict"])
    return markup.html(element("div", values, head, _controls(), columns, steps, verdict))


def _controls() -> ET.Element:
    """Hidden until the script is there to answer them."""
    say = element("span", {"class": "steps__say", "aria-live": "polite"})
    back = element("button", {"type": "button", "data-step": -1, "aria-label": "앞 단계"}, "◀")
    on = element("button", {"type": "button", "data-step": 1, "aria-label": "다음 단계"}, "▶")
    whole = element("button", {"type": "button", "data-step": 0}, "모두 보기")
    return element("div", {"class": "steps__controls", "hidden": "hidden"}, back, on, whole, say)


def _items(data: dict[str, Any]) -> Iterator[ET.Element]:
    """What waits goes on waiting until the one it waits for ends, or it has a step again."""
    waiting: dict[str, str] = {}
    before: Any = None
    for step in data["steps"]:
        waiting.pop(step["session"], None)
        if step["sql"].partition(" ")[0].upper() in ENDS:
            waiting = {who: whom for who, whom in waiting.items() if whom != step["session"]}
        if step["state"] == "waiting":
            waiting[step["session"]] = step["waits_for"]
        yield _item(data, step, waiting, same=step["rows"] == before)
        before = step["rows"]


def _item(
    data: dict[str, Any], step: dict[str, Any], waiting: dict[str, str], *, same: bool
) -> ET.Element:
    """A step. Rows that did not change are shown only while the player stands on it."""
    session = element("b", {"class": "steps__session"}, f"{step['session']} ")
    queue = [f"기다림: {who} → {whom}" for who, whom in waiting.items() if who != step["session"]]
    css = "steps__rows steps__rows--same" if same else "steps__rows"
    after: list[markup.Child] = [element("span", {"class": css}, _rows(step["rows"]))]
    after += [element("span", {"class": "steps__queue"}, words) for words in queue]
    return element(
        "li",
        {"class": _column(data, step["session"])},
        session,
        element("code", {"class": "steps__sql"}, step["sql"]),
        _state(step),
        element("div", {"class": "steps__after"}, *after),
    )


def _state(step: dict[str, Any]) -> ET.Element | None:
    """What came of it; a statement that simply ran needs no word."""
    state = step["state"]
    css = f"steps__state steps__state--{state}"
    mark = markup.icon(glyph(GLYPHS[state], lane("")), "fig-mark") if state in GLYPHS else None
    words = _says(step)
    return element("span", {"class": css}, mark, words) if words else None


def _says(step: dict[str, Any]) -> str:
    match step["state"]:
        case "waiting":
            return f"대기: {step['waits_for']}의 락"
        case "error":
            return f"오류 {step['sqlstate']}"
        case "resumed":
            return f"락을 얻음 → {step.get('result', '실행')}"
        case _:
            return f"→ {step['result']}" if "result" in step else ""


def _rows(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "행 없음"
    return "행 " + " · ".join(
        "(" + ", ".join(f"{name}={value}" for name, value in row.items()) + ")" for row in rows
    )


def _column(data: dict[str, Any], session: str) -> str:
    return f"steps__column-{data['sessions'].index(session) + 1}"


def _verdict(verdict: dict[str, Any]) -> ET.Element:
    mark, css = ("✗", "fig-verdict--bad") if verdict["happens"] else ("✓", "fig-verdict--ok")
    sign = element("span", {"aria-hidden": "true"}, f"{mark} ")
    return element("p", {"class": f"fig-verdict {css}"}, sign, verdict["text"])
