"""What the handbook promises (R01 to R40) against what is there. Nothing is set by hand.

`docs/coverage.yml` names a row's page, cells, pictures, tests and quoted sections. A row is
complete when each of them exists, resolves and is used, and there are as many as it needs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml

from handbook.errors import CheckFailedError, UsageError
from handbook.site import figure_data, gates, marks, navigation, proofs
from handbook.site import schema as schemas
from handbook.site.project import Project

Kind = Literal["page", "lab", "picture", "test"]
RANGE = re.compile(r"^(R\d{2})(?:-(R\d{2}))?$")


@dataclass(frozen=True)
class Row:
    """One promised topic."""

    id: str
    title: str
    page: str
    needs: dict[Kind, int]
    cells: tuple[str, ...] = ()
    pictures: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()


@dataclass(frozen=True)
class Missing:
    """One thing a row lacks."""

    kind: Kind
    what: str


@dataclass(frozen=True)
class Checked:
    """A row and everything it lacks; complete when that is nothing."""

    row: Row
    missing: tuple[Missing, ...]


@dataclass(frozen=True)
class Plan:
    """`docs/coverage.yml`."""

    rows: tuple[Row, ...]
    orphans: dict[str, str] = field(default_factory=dict)


def load(project: Project) -> Plan:
    """The plan.

    Raises:
        CheckFailedError: the file is missing, is no YAML or does not match its schema.
    """
    file = project.docs / "coverage.yml"
    schema = json.loads((project.data / "schema/coverage.schema.json").read_text("utf-8"))
    try:
        raw = yaml.load(file.read_text("utf-8"), Loader=yaml.CSafeLoader)
    except FileNotFoundError as error:
        raise CheckFailedError("docs/coverage.yml is missing", "restore it from git") from error
    except yaml.YAMLError as error:
        raise CheckFailedError(f"docs/coverage.yml is no YAML: {error}", "mend it") from error
    if fault := schemas.fault(raw, schema):
        raise CheckFailedError(
            f"docs/coverage.yml, at {fault}", "see docs/_data/schema/coverage.schema.json"
        )
    return Plan(tuple(map(_row, raw["rows"])), raw.get("orphans", {}))


def _row(raw: dict[str, Any]) -> Row:
    lists = {name: tuple(raw.get(name, ())) for name in ("cells", "pictures", "tests", "sections")}
    return Row(raw["id"], raw["title"], raw["page"], raw["needs"], **lists)


def check(project: Project) -> list[Checked]:
    """Every row, in order, with what it lacks."""
    checker = _Checker(project)
    return [Checked(row, tuple(checker.missing(row))) for row in load(project).rows]


def select(rows: Sequence[Checked], wanted: str) -> list[Checked]:
    """The rows of `R27,R30-R32`; `all` means every row.

    Raises:
        UsageError: nothing is named, or a part is no row and no range of rows.
    """
    if wanted.strip().lower() == "all":
        return list(rows)
    chosen: dict[str, Checked] = {}
    for part in filter(None, (part.strip().upper() for part in wanted.split(","))):
        found = _range(rows, part)
        if not found:
            raise UsageError(f"there is no row `{part}`", "write for example R27 or R27,R30-R32")
        chosen |= {row.row.id: row for row in found}
    if not chosen:
        raise UsageError("no row is named", "write for example R27 or R27,R30-R32")
    return list(chosen.values())


def _range(rows: Sequence[Checked], part: str) -> list[Checked]:
    match = RANGE.match(part)
    known = {row.row.id for row in rows}
    if not match or match[1] not in known or (match[2] or match[1]) not in known:
        return []
    return [row for row in rows if match[1] <= row.row.id <= (match[2] or match[1])]


class _Checker:
    """Reads each file once for all rows."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.marks: dict[str, marks.Marks] = {}

    def missing(self, row: Row) -> Iterator[Missing]:
        yield from self._too_few(row)
        there = (self.project.docs / row.page).is_file()
        if not there:
            yield Missing("page", f"docs/{row.page} does not exist")
        elif row.page not in self.nav:
            yield Missing("page", f"docs/{row.page} is not in the navigation of mkdocs.yml")
        found = self._marks(row.page) if there else marks.Marks()
        for cell in row.cells:
            yield from self._cell(row, cell, {embed.ref for embed in found.embeds})
        for section in row.sections:
            yield from self._section(row, section, {quote.ref for quote in found.quotes})
        for picture in row.pictures:
            yield from self._picture(picture)
        for test in row.tests:
            yield from self._test(test)

    @cached_property
    def nav(self) -> set[str]:
        return navigation.pages(navigation.read(self.project), self.project)

    def _marks(self, page: str) -> marks.Marks:
        if page not in self.marks:
            self.marks[page] = marks.read((self.project.docs / page).read_text("utf-8"))
        return self.marks[page]

    def _too_few(self, row: Row) -> Iterator[Missing]:
        have: dict[Kind, int] = {
            "page": 1,
            "lab": len({cell.partition("#")[0] for cell in row.cells}),
            "picture": len(row.pictures),
            "test": len(row.tests),
        }
        for kind, count in row.needs.items():
            if have[kind] < count:
                yield Missing(kind, f"names {have[kind]} of {count} {kind}(s)")

    def _cell(self, row: Row, ref: str, shown: set[str]) -> Iterator[Missing]:
        lab, _, name = ref.partition("#")
        try:
            cell = self.project.lab(lab).cell(name)
        except UsageError as error:
            yield Missing("lab", error.what)
            return
        if cell.execution_count is None:
            yield Missing("lab", f"`{ref}` was never run")
        if ref not in shown:
            yield Missing("lab", f"docs/{row.page} does not show `{ref}`")

    def _section(self, row: Row, ref: str, quoted: set[str]) -> Iterator[Missing]:
        path, _, section = ref.partition(":")
        if problem := gates.check_quote(self.project, "", marks.Quote(0, path, section or None)):
            yield Missing("page", problem.what)
        elif ref not in quoted:
            yield Missing("page", f"docs/{row.page} does not quote `{ref}`")

    def _picture(self, name: str) -> Iterator[Missing]:
        """Pictures are data: `trace/13-outbox/relay.json` fits `schema/trace.schema.json`."""
        file = self.project.data / name
        schema = self.project.data / "schema" / f"{Path(name).parts[0]}.schema.json"
        for needed in (file, schema):
            if not needed.is_file():
                shown = needed.relative_to(self.project.root).as_posix()
                yield Missing("picture", f"{shown} does not exist")
                return
        try:
            figure_data.checked(self.project, schema.name.removesuffix(".schema.json"), name)
        except CheckFailedError as error:
            yield Missing("picture", error.what)

    def _test(self, node: str) -> Iterator[Missing]:
        path, _, name = node.partition("::")
        if not (self.project.root / path).is_file():
            yield Missing("test", f"{path} does not exist")
        elif proofs.find(self.project, node) is None:
            yield Missing("test", f"{path} has no test `{name.partition('[')[0]}`")
