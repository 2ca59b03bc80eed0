"""Where an output comes from: read from `build/labs.json`, which only the labs' check writes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handbook.notebooks.store import Notebook

UNVERIFIED = "검증되지 않음"


@dataclass(frozen=True)
class Provenance:
    """When a lab was verified, on what. `text` is what a reader sees."""

    verified: bool
    text: str


def results(build: Path) -> dict[str, dict[str, Any]]:
    """What the last checks wrote; nothing when none ran or the file is damaged."""
    try:
        found = json.loads((build / "labs.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def of_lab(lab: Notebook, checked: dict[str, dict[str, Any]]) -> Provenance:
    """Verified only when the checked file is byte for byte the one that is shown."""
    entry = checked.get(lab.name, {})
    try:
        same = entry["sha256"] == hashlib.sha256(lab.path.read_bytes()).hexdigest()
        on = f"PostgreSQL {entry['postgres']} · Kafka {entry['kafka']}"
        text = f"{on}에서 {entry['verified']}에 검증"
    except KeyError:
        return Provenance(False, UNVERIFIED)
    return Provenance(True, text) if same else Provenance(False, UNVERIFIED)
