"""Where a lab's recordings go: the data that pages draw pictures from.

A recording is `<kind>/<lab>/<name>.json`. Two runs of one lab give the same bytes, but for measured
times (`spans`), of which only the relations are compared.
"""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from handbook import paths
from handbook.errors import UsageError

KINDS = ("trace", "steps", "matrix", "spans", "explorer")
"""One schema in docs/_data/schema each."""


def write(kind: str, lab: str, name: str, data: dict[str, Any]) -> Path:
    """Write a recording, whole or not at all; returns its file."""
    if kind not in KINDS:
        raise UsageError(f"`{kind}` is no kind of recording", f"use one of: {', '.join(KINDS)}")
    path = home() / kind / lab / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    whole = {"lab": lab, "name": name, **data}
    text = json.dumps(whole, ensure_ascii=False, indent=1, sort_keys=True)
    part.write_text(text + "\n", encoding="utf-8")
    return part.replace(path)


def measured(postgres: str, kafka: str) -> dict[str, str]:
    """When and on what times were measured; goes beside them."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "postgres": postgres,
        "kafka": kafka,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }


def home() -> Path:
    """Where runs write; `HANDBOOK_DATA_HOME` moves it (the gates do)."""
    return Path(os.environ.get("HANDBOOK_DATA_HOME") or paths.BUILD / "data")
