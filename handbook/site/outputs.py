"""A cell's stored outputs as HTML. Text is escaped; HTML and SVG come as the lab made them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from typing import Any

ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
LABEL = "출력"


def to_html(outputs: Iterable[dict[str, Any]]) -> str:
    """One block below a cell's source; empty when there is nothing to show."""
    parts = [part for part in map(_one, _joined(outputs)) if part]
    if not parts:
        return ""
    body = "\n".join(parts)
    return f'<div class="cell-output" role="group" aria-label="{LABEL}">\n{body}\n</div>'


def _joined(outputs: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Neighbouring pieces of one stream are one text: the kernel cuts them at random."""
    joined: list[dict[str, Any]] = []
    for output in outputs:
        last = joined[-1] if joined else {}
        stream = output.get("output_type") == "stream"
        if stream and last.get("name") == output.get("name"):
            joined[-1] = {**last, "text": _text(last["text"]) + _text(output["text"])}
        else:
            joined.append(output)
    return joined


def _one(output: dict[str, Any]) -> str:
    match output["output_type"]:
        case "stream":
            return _pre(_text(output["text"]))
        case "error":
            return _pre(f"{output['ename']}: {output['evalue']}", "cell-output__error")
        case _:
            return _data(output.get("data", {}))


def _data(data: dict[str, Any]) -> str:
    for kind in ("text/html", "image/svg+xml"):
        if kind in data:
            return f'<div class="cell-output__html">\n{_text(data[kind])}\n</div>'
    return _pre(_text(data["text/plain"])) if "text/plain" in data else ""


def _pre(text: str, css_class: str = "cell-output__text") -> str:
    clean = escape(ANSI.sub("", text).rstrip("\n"), quote=False)
    return f'<pre class="{css_class}" tabindex="0"><samp>{clean}</samp></pre>' if clean else ""


def _text(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "".join(value)
