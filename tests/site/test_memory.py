"""Builds of one process: what did not change is kept, and nothing is that should not be."""

from __future__ import annotations

from pathlib import Path

import markdown
import pytest
from edits import replace

from handbook.errors import CheckFailedError
from handbook.site import build, plugin
from handbook.site.memory import Memory
from handbook.site.project import Project


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known from other tests."""
    monkeypatch.setattr(plugin, "MEMORY", Memory())


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The first line of every page that Markdown was asked for."""
    seen: list[str] = []
    convert = markdown.Markdown.convert

    def watched(self: markdown.Markdown, source: str) -> str:
        seen.append(source.strip().partition("\n")[0])
        return convert(self, source)

    monkeypatch.setattr(markdown.Markdown, "convert", watched)
    return seen


def files(folder: Path) -> dict[str, bytes]:
    """Everything that was built."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_only_the_changed_page_is_rendered_when_a_process_builds_again(
    project: Project, rendered: list[str]
) -> None:
    """The others come from the build before, and the site is what a new process would make."""
    build.build(project)
    replace(project.docs / "events/outbox.md", "멱등성을 시험합니다.", "고친 문장입니다.")
    rendered.clear()

    build.build(project)

    assert [title for title in rendered if title] == ["# 커밋과 이벤트 {#outbox}"]
    again = files(project.site)
    plugin.MEMORY = Memory()
    build.build(project)
    assert files(project.site) == again


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("snippets/demo.py", "def keep", "def keep_all"),
        ("notebooks/01-demo.ipynb", "lost=2", "lost=keep_all"),
    ],
)
def test_page_is_rendered_again_when_what_it_shows_changed(
    project: Project, file: str, old: str, new: str
) -> None:
    """A page is made of more than its own text."""
    build.build(project)
    replace(project.root / file, old, new)

    build.build(project)

    assert "keep_all" in (project.site / "events/outbox/index.html").read_text("utf-8")


def test_build_fails_again_when_nothing_was_mended(project: Project) -> None:
    """What a failed build has seen does not count as done."""
    replace(project.docs / "events/outbox.md", "멱등성을 시험합니다.", "[여기](gone.md)를 봅니다.")
    for _ in range(2):
        with pytest.raises(CheckFailedError, match=r"gone\.md"):
            build.build(project)
