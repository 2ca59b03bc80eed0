"""What labs have recorded, as the pictures get it."""

from __future__ import annotations

import json
from typing import Any

from handbook import paths


def data(name: str) -> Any:
    """A data file of the handbook."""
    return json.loads((paths.DATA / name).read_text("utf-8"))
