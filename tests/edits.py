"""How a test changes a file that it may change."""

from __future__ import annotations

from pathlib import Path


def replace(file: Path, old: str, new: str, count: int = -1) -> None:
    """Put `new` in place of `old`, which must be there; everywhere, or so many times."""
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new, count), "utf-8")
