"""Small labs that the tests of the gates break."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from handbook.notebooks import canonical

LAB = "01-sample"
OPEN = 'from handbook.lab import Lab\n\nlab = Lab("01-sample")'
SUM = 'lab.execute("CREATE TABLE t (n int)")\nprint("합계", 40 + 2)'
CELLS = (
    ("markdown", "title", "# 주문이 사라집니까?"),
    ("code", "setup", OPEN),
    ("code", "e1-sum", SUM),
    ("code", "e1-list", "[1, 2]"),
    ("code", "cleanup", "lab.close()"),
)


def notebook(*cells: tuple[str, str, str]) -> dict[str, Any]:
    """A notebook that was not run yet."""
    return {
        "cells": [cell(*parts) for parts in cells or CELLS],
        "metadata": {},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def cell(kind: str, name: str, source: str) -> dict[str, Any]:
    """A cell that was not run yet."""
    made: dict[str, Any] = {"cell_type": kind, "id": name, "metadata": {}, "source": source}
    return made | {"execution_count": None, "outputs": []} if kind == "code" else made


def executed() -> dict[str, Any]:
    """The sample as a run leaves it, without the run."""
    made = notebook()
    for number, code in enumerate([c for c in made["cells"] if c["cell_type"] == "code"], start=1):
        code["execution_count"] = number
        code["metadata"][canonical.EXECUTED] = canonical.digest(code["source"])
    by_id(made, "e1-sum")["outputs"] = [stream("합계 42\n")]
    by_id(made, "e1-list")["outputs"] = [
        {
            "output_type": "execute_result",
            "execution_count": 3,
            "data": {"text/plain": "[1, 2]"},
            "metadata": {},
        }
    ]
    return made


def by_id(made: dict[str, Any], name: str) -> Any:
    """One cell of a notebook."""
    return next(cell for cell in made["cells"] if cell["id"] == name)


def stream(text: str, name: str = "stdout") -> dict[str, Any]:
    """What `print` leaves."""
    return {"output_type": "stream", "name": name, "text": text}


def write(folder: Path, *cells: tuple[str, str, str]) -> Path:
    """The sample, or a lab of these cells, on disk and not run yet."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{LAB}.ipynb"
    canonical.write(path, notebook(*cells))
    return path


def edit(path: Path, name: str, **changes: Any) -> None:
    """Change one cell of a lab on disk, in canonical form."""
    raw = json.loads(path.read_text(encoding="utf-8"))
    by_id(raw, name).update(changes)
    canonical.write(path, raw)
