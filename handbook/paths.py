"""Where things live: a checkout keeps what it makes, except the shared download cache."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
SNIPPETS = ROOT / "snippets"
DOCS = ROOT / "docs"
DATA = DOCS / "_data"
BUILD = ROOT / "build"
SITE = ROOT / "site"


def stack_home() -> Path:
    """The state folder of this checkout's stack; `HANDBOOK_STACK_HOME` moves it (tests do)."""
    return Path(os.environ.get("HANDBOOK_STACK_HOME") or ROOT / ".stack")


def cache_home() -> Path:
    """Downloads shared by all checkouts of this user; `HANDBOOK_CACHE` moves it (tests do)."""
    return Path(os.environ.get("HANDBOOK_CACHE") or platformdirs.user_cache_dir("msa-handbook"))
