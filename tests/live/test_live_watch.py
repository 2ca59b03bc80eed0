"""`handbook serve --watch` with a reader at the page: what is written shows, and still runs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from edits import replace
from playwright.sync_api import Browser
from reader import Reader
from serving import Serve

from handbook.site.project import Project

pytestmark = pytest.mark.browser


@pytest.fixture
def project(built: Project, tmp_path: Path) -> Project:
    """A built checkout to write in."""
    return Project(Path(shutil.copytree(built.root, tmp_path / "checkout")))


@pytest.fixture
def author(browser: Browser, served: Serve, project: Project) -> Iterator[Reader]:
    """Somebody who writes, with the page open beside."""
    reader = Reader(browser, served(project, watch=True))
    reader.greet()
    yield reader
    reader.leave()


def test_page_shows_what_changed_when_page_snippet_or_notebook_is_written(
    author: Reader, project: Project
) -> None:
    """No key is pressed: the page loads itself again, its cells run, the draft is still there."""
    author.open("events/outbox/")
    author.write("e1-keeps", "'내 코드'")

    replace(project.docs / "events/outbox.md", "멱등성을 시험합니다.", "고친 문장입니다.")
    author.page.get_by_text("고친 문장입니다.").wait_for()
    replace(project.root / "snippets/demo.py", "def keep", "def keep_all")
    author.page.locator(".highlight", has_text="keep_all").first.wait_for()
    replace(project.root / "notebooks/01-demo.ipynb", "lost=", "missing=")
    author.page.locator("[data-cell='e1-loses']", has_text="missing=").wait_for()

    author.page.locator("html[data-live=ready]").wait_for()
    assert "저장된 출력과 같습니다" in author.run("e1-loses")
    assert author.output("e1-loses").startswith("missing=2")
    author.cell("e1-keeps").locator(".cm-content", has_text="내 코드").wait_for()
