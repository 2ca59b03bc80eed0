"""What `handbook labs list` shows."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from handbook.notebooks import store, verify


@dataclass(frozen=True)
class Entry:
    """One lab; `verified` is None unless the file as it is now passed all gates."""

    name: str
    title: str
    cells: int
    verified: str | None


def entries() -> list[Entry]:
    """Every lab, in order."""
    file = verify.results_file()
    results = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return [_entry(name, results.get(name, {})) for name in store.names()]


def _entry(name: str, result: dict[str, str]) -> Entry:
    lab = store.load(name)
    titles = [cell.source.splitlines()[0][2:] for cell in lab.cells if cell.source.startswith("# ")]
    same = result.get("sha256") == hashlib.sha256(lab.path.read_bytes()).hexdigest()
    return Entry(
        name=name,
        title=titles[0] if titles else "",
        cells=sum(cell.kind == "code" for cell in lab.cells),
        verified=result["verified"] if same else None,
    )
