"""CodeMirror's packages as modules that a browser loads without a bundler."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from handbook import paths
from handbook.site import assets
from handbook.site.assets import EDITOR

PLACE = "/_live/client/vendor"
IMPORT = re.compile(
    r"""(?P<how>\b(?:from|import)\s*)(?P<quote>["'])(?P<name>[@\w][^"']*)(?P=quote)"""
)


def packages(root: Path) -> Path | None:
    """Where the packages are; None after a first start without network."""
    folder = paths.cache_home() / "site-assets" / assets.fingerprint(root)
    return folder if folder.is_dir() else None


@lru_cache(maxsize=len(EDITOR))
def module(folder: Path, name: str) -> str | None:
    """The package's module, its imports turned into addresses of this server."""
    entry = folder / name / EDITOR.get(name, "")
    if name not in EDITOR or not entry.is_file():
        return None
    return IMPORT.sub(_address, entry.read_text("utf-8"))


def _address(found: re.Match[str]) -> str:
    if found["name"] not in EDITOR:
        return found[0]
    return f'{found["how"]}"{PLACE}/{found["name"]}.js"'
