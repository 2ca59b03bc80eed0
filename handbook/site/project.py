"""Which checkout a site function works on, so that tests can work on a small one of their own."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from handbook import paths
from handbook.notebooks import store

FIRST_HEADING = "# "


@dataclass(frozen=True)
class Project:
    """The folders of one checkout."""

    root: Path = field(default_factory=lambda: paths.ROOT)

    @property
    def config(self) -> Path:
        """MkDocs' configuration."""
        return self.root / "mkdocs.yml"

    @property
    def docs(self) -> Path:
        """The pages."""
        return self.root / "docs"

    @property
    def data(self) -> Path:
        """What labs recorded, and the schemas of it."""
        return self.docs / "_data"

    @property
    def notebooks(self) -> Path:
        """The labs."""
        return self.root / "notebooks"

    @property
    def snippets(self) -> Path:
        """The code that pages quote."""
        return self.root / "snippets"

    @property
    def build(self) -> Path:
        """Everything that can be made again."""
        return self.root / "build"

    @property
    def site(self) -> Path:
        """The built site."""
        return self.root / "site"

    def pages(self) -> list[str]:
        """Every page below `docs/`, as MkDocs names it (`events/outbox.md`)."""
        return sorted(path.relative_to(self.docs).as_posix() for path in self.docs.rglob("*.md"))

    def labs(self) -> list[str]:
        """Every lab, in order."""
        return store.names(self.notebooks)

    def lab(self, name: str) -> store.Notebook:
        """The lab of that name.

        Raises:
            UsageError: no such lab.
        """
        return store.load(name, self.notebooks)


def lab_title(lab: store.Notebook) -> str:
    """The lab's first heading, or its name when it has none."""
    for cell in lab.cells:
        for line in cell.source.splitlines() if cell.kind == "markdown" else ():
            if line.startswith(FIRST_HEADING):
                return line.removeprefix(FIRST_HEADING).strip()
    return lab.name
