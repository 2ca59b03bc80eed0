"""Small labs that the tests of the gates break."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from handbook.notebooks import canonical

OPEN = 'from handbook.lab import Lab\n\nlab = Lab("{lab}")'
CELLS = (
    ("markdown", "title", "# 주문이 사라집니까?"),
    ("code", "setup", OPEN),
    ("code", "e1-sum", 'lab.execute("create table t (n int)")\nprint("합계", 40 + 2)'),
    ("code", "e1-list", "[1, 2]"),
    ("code", "cleanup", "lab.close()"),
)


def notebook(lab: str, *cells: tuple[str, str, str]) -> dict[str, Any]:
    """A notebook that was not run yet."""
    return {
        "cells": [cell(kind, name, source.replace("{lab}", lab)) for kind, name, source in cells],
        "metadata": {},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def cell(kind: str, name: str, source: str) -> dict[str, Any]:
    """A cell that was not run yet."""
    made: dict[str, Any] = {"cell_type": kind, "id": name, "metadata": {}, "source": source}
    return made | {"execution_count": None, "outputs": []} if kind == "code" else made


def write(folder: Path, lab: str, *cells: tuple[str, str, str]) -> Path:
    """A lab on disk, not run yet."""
    path = folder / f"{lab}.ipynb"
    canonical.write(path, notebook(lab, *(cells or CELLS)))
    return path
