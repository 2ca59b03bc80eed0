"""One way to write a notebook: same content, same bytes; a change gives the smallest diff."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
# Cell metadata: the digest of the source that the stored outputs come from.
EXECUTED = "executed"
# Tag of a cell that the reader edits; its metadata keep the source that was published.
EXERCISE = "exercise"


def digest(source: str) -> str:
    """Tells an edited cell from an executed one."""
    return hashlib.sha256(source.encode()).hexdigest()[:12]


def text(raw: dict[str, Any]) -> str:
    """The canonical text of a notebook: known metadata only, sorted keys, one line an item."""
    notebook = {
        "cells": [_cell(cell) for cell in raw.get("cells", [])],
        "metadata": METADATA,
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def write(path: Path, raw: dict[str, Any]) -> bool:
    """Write the canonical text, whole or not at all; False when the file holds it already."""
    new = text(raw)
    if path.exists() and path.read_text(encoding="utf-8") == new:
        return False
    part = path.with_name(f".{path.name}.part")
    part.write_text(new, encoding="utf-8")
    part.replace(path)
    return True


def join(value: Any) -> str:
    """The text that nbformat stores as a string or as a list of lines."""
    return "".join(value) if isinstance(value, list) else str(value)


def _cell(raw: dict[str, Any]) -> dict[str, Any]:
    cell: dict[str, Any] = {
        "cell_type": raw.get("cell_type"),
        "id": raw.get("id", ""),
        "metadata": _metadata(raw),
        "source": _lines(raw.get("source", "")),
    }
    if raw.get("attachments"):
        cell["attachments"] = raw["attachments"]
    if raw.get("cell_type") == "code":
        cell["execution_count"] = raw.get("execution_count")
        cell["outputs"] = _outputs(raw)
    return cell


def _metadata(raw: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    known = raw.get("metadata", {})
    if known.get("tags"):
        kept["tags"] = sorted(known["tags"])
    if EXECUTED in known and raw.get("cell_type") == "code":
        kept[EXECUTED] = known[EXECUTED]
    if EXERCISE in known.get("tags", ()):
        published = known.get("handbook", {}).get(EXERCISE, {}).get("original", raw["source"])
        kept["handbook"] = {EXERCISE: {"original": _lines(published)}}
    return kept


def _outputs(raw: dict[str, Any]) -> list[dict[str, Any]]:
    outputs: list[dict[str, Any]] = []
    for output in raw.get("outputs", []):
        kind = output.get("output_type")
        if kind == "stream":
            last = outputs[-1] if outputs else {}
            if last.get("output_type") == "stream" and last["name"] == output["name"]:
                # How the kernel cuts a stream into messages is chance.
                last["text"] = _lines(join(last["text"]) + join(output["text"]))
                continue
            outputs.append({**_only(output, "name"), "text": _lines(join(output["text"]))})
        elif kind == "error":
            # A traceback names files of the machine that ran it.
            summary = [f"{output['ename']}: {output['evalue']}"]
            outputs.append({**_only(output, "ename", "evalue"), "traceback": summary})
        else:
            data = {mime: _data(mime, value) for mime, value in output.get("data", {}).items()}
            shown = {**_only(output), "data": data, "metadata": output.get("metadata", {})}
            if kind == "execute_result":
                shown["execution_count"] = raw.get("execution_count")
            outputs.append(shown)
    return outputs


def _only(output: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: output[key] for key in ("output_type", *keys)}


def _data(mime: str, value: Any) -> Any:
    return _lines(join(value)) if mime.startswith("text/") or mime == "image/svg+xml" else value


def _lines(value: Any) -> list[str]:
    return join(value).splitlines(keepends=True)
