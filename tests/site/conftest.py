"""A small checkout of its own for every test of the site, and one built once for reading."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from machine_browser import launched
from playwright.sync_api import Browser

from handbook import paths
from handbook.site import build, server
from handbook.site.project import Project

HEADING_WITHOUT_PAGES = re.compile(r"^  - [^:\n]+:\n(?!    )", re.MULTILINE)
SMALL = Path(__file__).parent / "fixtures" / "project"


def copy_project(target: Path) -> Project:
    """The small project with the handbook's own configuration, theme and schema."""
    shutil.copytree(SMALL, target, dirs_exist_ok=True)
    shutil.copytree(paths.ROOT / "theme", target / "theme")
    (target / "mkdocs.yml").write_text(configuration(target / "docs"), "utf-8")
    for name in ("coverage", "page", "terms"):
        schema = Path(f"docs/_data/schema/{name}.schema.json")
        shutil.copy(paths.ROOT / schema, target / schema)
    return Project(target)


def configuration(docs: Path) -> str:
    """The handbook's `mkdocs.yml` without the pages that the small project does not have."""
    page = re.compile(r"^\s+- (?:[^:#]+: )?(?P<page>[\w/-]+\.md)$")
    lines = (paths.ROOT / "mkdocs.yml").read_text("utf-8").splitlines()
    kept = [
        line
        for line in lines
        if not (found := page.match(line)) or (docs / found["page"]).is_file()
    ]
    return HEADING_WITHOUT_PAGES.sub("", "\n".join(kept) + "\n")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A checkout that the test may change."""
    return copy_project(tmp_path / "checkout")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A built checkout that no test may change."""
    project = copy_project(tmp_path_factory.mktemp("built") / "checkout")
    build.build(project)
    return project


# For one module at a time: while it lives, no other event loop can run in this process's thread.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The machine's own Chromium."""
    with launched() as chromium:
        yield chromium


@pytest.fixture(scope="session")
def handbook(handbook_site: Path) -> Iterator[tuple[Path, str]]:
    """The handbook's own site, built and served: its folder and its address."""
    running = server.listen(handbook_site, 0, print)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield handbook_site, running.url
    running.shutdown()
    running.server_close()
