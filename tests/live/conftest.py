"""A small built checkout, the live server on it, and a real Chromium that may run its cells."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from machine_browser import launched
from playwright.sync_api import Browser
from reader import Reader
from serving import Serve, Served, serve

from handbook import paths
from handbook.live.server import LiveServer
from handbook.site import build
from handbook.site.project import Project

SMALL = paths.ROOT / "tests/site/fixtures/project"
# A concept page that shows one cell in two places, and of another only the output.
TWICE = """---
description: 시험용 페이지입니다.
waive: {anatomy: 시험용 페이지라서 형식이 없습니다.}
---

# 두 번 싣는 셀 {#twice}

/// cell | 01-demo#e1-loses
///

/// cell | 01-demo#e1-keeps
    part: output
///

/// cell | 01-demo#e1-loses
///
"""
# The small checkout has few of the pages that the handbook's own navigation names.
NAV = re.compile(r"^nav:\n(?:[ #].*\n)+", re.MULTILINE)


def copy_project(target: Path) -> Project:
    """The small project with the handbook's own configuration, theme and schema."""
    shutil.copytree(SMALL, target, dirs_exist_ok=True)
    shutil.copytree(paths.ROOT / "theme", target / "theme")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(paths.ROOT / name, target / name)
    for name in ("coverage", "page", "terms"):
        schema = Path(f"docs/_data/schema/{name}.schema.json")
        shutil.copy(paths.ROOT / schema, target / schema)
    (target / "docs/events/twice.md").write_text(TWICE, "utf-8")
    project = Project(target)
    pages = "".join(f"  - {page}\n" for page in [*project.pages(), "labs/*"])
    whole = (paths.ROOT / "mkdocs.yml").read_text("utf-8")
    project.config.write_text(NAV.sub(f"nav:\n{pages}", whole), "utf-8")
    return project


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A built checkout that no test may change."""
    project = copy_project(tmp_path_factory.mktemp("live") / "checkout")
    build.build(project)
    return project


@pytest.fixture(scope="module")
def live(built: Project) -> Iterator[LiveServer]:
    """A server for the tests of one module; its kernels are shared, too."""
    server = serve(built)
    yield server
    server.close()


# For one module at a time: while it lives, no other event loop can run in this process's thread.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The machine's own Chromium."""
    with launched() as chromium:
        yield chromium


@pytest.fixture
def reader(browser: Browser, live: LiveServer) -> Iterator[Reader]:
    """Somebody who opened the printed address."""
    somebody = Reader(browser, live)
    somebody.greet()
    yield somebody
    somebody.leave()


@pytest.fixture
def served() -> Iterator[Serve]:
    """Starts `handbook serve` for a checkout; ends what is left."""
    running: list[Served] = []

    def start(project: Project, *, watch: bool = False) -> Served:
        running.append(Served(project, watch=watch))
        return running[-1]

    yield start
    for server in running:
        server.end()
