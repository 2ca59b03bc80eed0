"""What a page says about itself above its text, checked against `page.schema.json`."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from handbook.errors import UsageError
from handbook.site import source
from handbook.site.problems import Problem
from handbook.site.project import Project

SCHEMA = "schema/page.schema.json"
PAGE = re.compile(r"^[a-z0-9/_-]+\.md$")


@dataclass(frozen=True)
class FrontMatter:
    """The values, and the YAML they were read from."""

    values: dict[str, Any] = field(default_factory=dict)
    yaml: str = ""
    fault: tuple[int, str] | None = None

    def line(self, key: str) -> int:
        """Where `key` stands in the file; 1 when it does not."""
        found = re.search(rf"^[ \t]*{re.escape(key)}[ \t]*:", self.yaml, re.MULTILINE)
        return self.yaml.count("\n", 0, found.start()) + 2 if found else 1

    @property
    def waived(self) -> dict[str, str]:
        """Parts of the form that the page leaves out, with reasons."""
        waive = self.values.get("waive", {})
        return waive if isinstance(waive, dict) else {}

    def words(self, key: str) -> list[str]:
        """A list of the front matter; empty when it is missing or no list."""
        found = self.values.get(key, [])
        return [str(word) for word in found] if isinstance(found, list) else []


def read(text: str) -> FrontMatter:
    """The front matter of a page's whole source."""
    written = source.front_matter(text)
    if written is None:
        return FrontMatter()
    try:
        values = yaml.load(written, Loader=yaml.CSafeLoader) or {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 2 if mark else 1
        return FrontMatter({}, written, (line, getattr(error, "problem", None) or str(error)))
    if not isinstance(values, dict):
        return FrontMatter({}, written, (1, "it is no mapping"))
    return FrontMatter({str(key): value for key, value in values.items()}, written)


def check(project: Project, page: str, front: FrontMatter, *, topic: bool) -> Iterator[Problem]:
    """Everything wrong with the front matter of one page.

    Args:
        project: the checkout.
        page: relative to `docs/`.
        front: what `read` found.
        topic: the page has the full form, and must say more about itself.
    """
    file = f"docs/{page}"
    if front.fault:
        line, why = front.fault
        yield Problem(
            f"{file}:{line}",
            f"the front matter is no YAML: {why}",
            "put text that holds `: ` or `#` into quotation marks",
        )
        return
    yield from _faults(project, file, front, topic)
    yield from _before(project, page, front)
    yield from _labs(project, file, front)


def _faults(project: Project, file: str, front: FrontMatter, topic: bool) -> Iterator[Problem]:
    schema = _schema(project.data / SCHEMA)
    used = {**schema, **schema["$defs"]["topic"]} if topic else schema
    validator = jsonschema.Draft202012Validator(used)
    for error in sorted(validator.iter_errors(front.values), key=lambda error: error.json_path):
        yield _fault(file, front, schema, error)


def _fault(
    file: str, front: FrontMatter, schema: dict[str, Any], error: jsonschema.ValidationError
) -> Problem:
    path = [str(part) for part in error.absolute_path]
    if error.validator == "required":
        missing = next(key for key in error.validator_value if key not in front.values)
        says = schema["properties"][missing].get("description", "")
        return Problem(
            f"{file}:1", f"the front matter lacks `{missing}`", f"add `{missing}:`. {says}".strip()
        )
    if error.validator == "additionalProperties":
        unknown = next(key for key in front.values if key not in schema["properties"])
        return _unknown(file, front, unknown, sorted(schema["properties"]))
    if error.parent is not None and error.parent.validator == "propertyNames":
        return _unknown(file, front, str(error.instance), error.validator_value)
    if error.validator == "enum" and isinstance(error.instance, str) and "waive" in path[:1]:
        return _unknown(file, front, error.instance, error.validator_value)
    key = path[-1] if path and not path[-1].isdigit() else (path or ["waive"])[0]
    return Problem(
        f"{file}:{front.line(key)}",
        f"`{'/'.join(path) or 'front matter'}`: {error.message}",
        f"see docs/_data/{SCHEMA}",
    )


def _unknown(file: str, front: FrontMatter, name: str, known: list[str]) -> Problem:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean `{near[0]}`?" if near else f"use one of: {', '.join(known)}"
    return Problem(f"{file}:{front.line(name)}", f"the front matter knows no `{name}`", hint)


def _before(project: Project, page: str, front: FrontMatter) -> Iterator[Problem]:
    where = f"docs/{page}:{front.line('before')}"
    for entry in front.words("before"):
        if not entry.endswith(".md"):
            if not re.search("[가-힣]", entry):
                yield Problem(
                    where,
                    f"`before` names `{entry}`, which is neither a page nor Korean text",
                    "name a page below docs/ such as events/outbox.md, or what one has to know",
                )
        elif entry == page:
            yield Problem(where, "`before` names the page itself", "remove it")
        elif not PAGE.match(entry) or not (project.docs / entry).is_file():
            near = difflib.get_close_matches(entry, project.pages(), n=1)
            yield Problem(
                where,
                f"`before` names docs/{entry}, which does not exist",
                f"did you mean `{near[0]}`?" if near else "name a page that exists",
            )


def _labs(project: Project, file: str, front: FrontMatter) -> Iterator[Problem]:
    for lab in front.words("labs"):
        try:
            project.lab(lab)
        except UsageError as error:
            yield Problem(f"{file}:{front.line('labs')}", error.what, error.next_step)


@lru_cache
def _read_schema(path: Path, _changed: int) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return schema


def _schema(path: Path) -> dict[str, Any]:
    return _read_schema(path, path.stat().st_mtime_ns)
