"""Recorded data for a page's pictures, read and checked: what a gate refuses is never drawn."""

from __future__ import annotations

import difflib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from handbook.errors import CheckFailedError, UsageError
from handbook.figures import prediction
from handbook.figures.kinds import KINDS
from handbook.site import schema as schemas
from handbook.site.project import Project

SAMPLES = "sample"
REGENERATE = "run the lab that records it with `handbook labs regenerate`, or mend the file"


def load(project: Project, kind: str, name: str) -> dict[str, Any]:
    """The data of a picture. `name` is relative to `docs/_data/`.

    Raises:
        UsageError: the kind or the file does not exist.
        CheckFailedError: the file does not fit its schema or contradicts itself.
    """
    if kind not in KINDS:
        near = difflib.get_close_matches(kind, KINDS, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"use one of: {', '.join(KINDS)}"
        raise UsageError(f"there is no picture of the kind `{kind}`", hint)
    data = checked(project, KINDS[kind].schema, name)
    if kind == "explorer":
        runs = [{**run, "trace": checked(project, "trace", run["trace"])} for run in data["runs"]]
        data = {**data, "runs": runs}
    if found := next(KINDS[kind].faults(data), None):
        raise CheckFailedError(f"docs/_data/{name} contradicts itself at {found}", REGENERATE)
    return data


def checked(project: Project, schema: str, name: str) -> dict[str, Any]:
    """A recording that fits its schema.

    Raises:
        UsageError: there is none of this name.
        CheckFailedError: it is no JSON, or does not fit its schema.
    """
    file = project.data / name
    if not file.resolve().is_relative_to(project.data.resolve()) or not file.is_file():
        raise UsageError(f"docs/_data/{name} does not exist", _closest(project, name))
    written = file.stat()
    rules = project.data / "schema" / f"{schema}.schema.json"
    return dict(_read(file, (written.st_mtime_ns, written.st_size), rules, name))


# Gates, coverage and pages ask for the same file, and checking it costs more than drawing it.
@lru_cache(maxsize=1024)
def _read(file: Path, _written: tuple[int, int], rules: Path, name: str) -> dict[str, Any]:
    try:
        data = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise CheckFailedError(f"docs/_data/{name} is no JSON: {error}", REGENERATE) from error
    if fault := schemas.fault(data, _schema(rules)):
        raise CheckFailedError(f"docs/_data/{name} does not fit its schema at {fault}", REGENERATE)
    _honest(name, data)
    return dict(data)


def _honest(name: str, data: dict[str, Any]) -> None:
    """Invented data lies in one folder and says so; recorded data does neither."""
    if (Path(name).parts[0] == SAMPLES) != ("sample" in data):
        raise CheckFailedError(
            f"docs/_data/{name} is "
            + ("a recording, but says `sample`" if "sample" in data else "a sample that hides it"),
            f"invented data lies in docs/_data/{SAMPLES}/ and says why under `sample`",
        )


@lru_cache(maxsize=32)
def _schema(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text("utf-8")))


def _closest(project: Project, name: str) -> str:
    files = [path.relative_to(project.data).as_posix() for path in project.data.rglob("*.json")]
    known = [file for file in files if not file.startswith("schema/")]
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean `{near[0]}`?" if near else REGENERATE


def predicted(project: Project, lab: str, cell: str, pattern: str) -> tuple[str, str]:
    """The answer that a cell's stored output gives, and the words that prove it.

    Raises:
        UsageError: no such lab or cell.
        CheckFailedError: the cell has no output, or the pattern does not find one answer in it.
    """
    output = prediction.printed(project.lab(lab).cell(cell).outputs)
    if not output.strip():
        raise CheckFailedError(
            f"`{lab}#{cell}` has no stored output", f"run `handbook labs regenerate {lab}`"
        )
    return prediction.answer(output, pattern)
