"""The handbook's own pages pass every gate."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema

from handbook.site import build, coverage, links
from handbook.site.project import Project


def test_pages_of_the_handbook_are_in_order() -> None:
    """Embeds and quotes resolve, no code is typed, every proof is on a page."""
    assert build.page_problems(Project()) == []


def test_handbook_has_every_link_when_it_was_built_strictly(handbook_site: Path) -> None:
    """MkDocs has no warning and the built HTML no dead link, foreign load or doubled id."""
    assert links.check(handbook_site) == []


def test_plan_holds_the_forty_rows_in_order() -> None:
    """R01 to R40, each once."""
    assert [row.id for row in coverage.load(Project()).rows] == [
        f"R{number:02}" for number in range(1, 41)
    ]


def test_schema_of_the_plan_is_a_schema() -> None:
    """The schema itself follows JSON Schema 2020-12."""
    schema = json.loads((Project().data / "schema/coverage.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
