"""The one style sheet of ours: the partials in `theme/styles/`, in name order, as one file.

Pages ask for it by its content's hash, so that a browser never shows a new page in old clothes.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

SOURCES = "styles"
PLACE = "assets/stylesheets/handbook.css"
COMMENT = re.compile(r"/\*.*?\*/\s*", re.DOTALL)


def join(theme: Path) -> str:
    """Every partial, without its comments."""
    partials = sorted((theme / SOURCES).glob("*.css"))
    return "\n".join(COMMENT.sub("", path.read_text("utf-8")).strip() for path in partials) + "\n"


def versioned(place: str, content: str) -> str:
    """The address of a file, different for each content."""
    return f"{place}?v={hashlib.sha256(content.encode()).hexdigest()[:8]}"
