"""Labs on disk: `notebooks/NN-slug.ipynb`, found by name, their cells by id."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from handbook import paths
from handbook.errors import CheckFailedError, UsageError


@dataclass(frozen=True)
class Cell:
    """One cell as stored; `outputs` is nbformat's list."""

    id: str
    kind: str
    source: str
    outputs: tuple[dict[str, Any], ...]
    execution_count: int | None
    tags: frozenset[str]


@dataclass(frozen=True)
class Notebook:
    """One lab."""

    name: str
    path: Path
    cells: tuple[Cell, ...]

    def cell(self, cell_id: str) -> Cell:
        """The cell with this id.

        Raises:
            UsageError: no such cell; names the closest one.
        """
        for cell in self.cells:
            if cell.id == cell_id:
                return cell
        hint = _closest(cell_id, [cell.id for cell in self.cells])
        raise UsageError(f"lab {self.name} has no cell `{cell_id}`", f"{hint} in {self.path}")


def names(folder: Path | None = None) -> list[str]:
    """Every lab, in order."""
    return sorted(path.stem for path in (folder or paths.NOTEBOOKS).glob("[0-9][0-9]-*.ipynb"))


def load(name: str, folder: Path | None = None) -> Notebook:
    """The lab of that name.

    Raises:
        UsageError: no such lab; names the closest one.
        CheckFailedError: the file is no notebook.
    """
    path = find(name, folder)
    written = path.stat()
    return _read(path, (written.st_mtime_ns, written.st_size))


# A build asks for each lab about a hundred times.
@lru_cache(maxsize=64)
def _read(path: Path, _written: tuple[int, int]) -> Notebook:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return Notebook(path.stem, path, tuple(_cell(cell) for cell in raw["cells"]))
    except (ValueError, KeyError, TypeError) as error:
        raise CheckFailedError(f"{path} is no notebook", "restore it from git") from error


def find(name: str, folder: Path | None = None) -> Path:
    """The file of the lab of that name, whatever it holds.

    Raises:
        UsageError: no such lab; names the closest one.
    """
    path = (folder or paths.NOTEBOOKS) / f"{name}.ipynb"
    if not path.exists():
        raise UsageError(f"there is no lab `{name}`", _closest(name, names(folder)))
    return path


def _cell(raw: dict[str, Any]) -> Cell:
    return Cell(
        id=raw.get("id", ""),
        kind=raw["cell_type"],
        source="".join(raw["source"]),
        outputs=tuple(raw.get("outputs", ())),
        execution_count=raw.get("execution_count"),
        tags=frozenset(raw.get("metadata", {}).get("tags", ())),
    )


def _closest(wanted: str, known: list[str]) -> str:
    near = difflib.get_close_matches(wanted, known, n=1)
    return f"did you mean `{near[0]}`?" if near else f"choose one of: {', '.join(known) or 'none'}"
