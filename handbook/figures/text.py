"""How wide a text is drawn, near enough to break lines where SVG breaks none."""

from __future__ import annotations

import unicodedata

WIDE, NARROW, SPACE = 0.94, 0.6, 0.28


def width(text: str, size: float) -> float:
    """Estimated width in pixels at a font size of `size` pixels; rather too much."""
    return size * sum(map(_advance, text))


def wrap(text: str, size: float, limit: float) -> list[str]:
    """Lines no wider than `limit` where words allow it; a longer word is cut.

    Korean breaks between words only, as on the page (`word-break: keep-all`).
    """
    lines: list[str] = []
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and width(joined, size) <= limit:
            lines[-1] = joined
        else:
            lines += _cut(word, size, limit)
    return lines or [""]


def _cut(word: str, size: float, limit: float) -> list[str]:
    parts = [""]
    for letter in word:
        if parts[-1] and width(parts[-1] + letter, size) > limit:
            parts.append("")
        parts[-1] += letter
    return parts


def _advance(letter: str) -> float:
    if letter == " ":
        return SPACE
    return WIDE if unicodedata.east_asian_width(letter) in "WF" else NARROW
