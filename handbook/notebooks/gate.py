"""The structural gate: what a committed lab looks like, checked without running it."""

from __future__ import annotations

import ast
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from handbook import paths
from handbook.lab.exercise import UNSOLVED
from handbook.notebooks import canonical, exercises

MAX_LINES = 14
# Labs are checked in threads, and Python 3.11 may fail when two of them parse at once.
_PARSING = threading.Lock()
NAME = re.compile(r"[a-z][a-z0-9-]*")
RANDOM_NAME = re.compile(r"[0-9a-f]{8}")
INVARIANT = re.compile(r"e\d+-")
NBVAL_MARKER = re.compile(r"#\s*(NBVAL_\w+|PYTEST_VALIDATE_\w+)")
# What differs from run to run, or from machine to machine.
VOLATILE = {
    "a port": re.compile(
        r"(?:localhost|\d{1,3}(?:\.\d{1,3}){3}):\d{2,5}\b|\bport\W{0,3}\d{4,5}\b", re.IGNORECASE
    ),
    "an absolute path": re.compile(
        r"(?<![\w/.])/(?:home|Users|root|tmp|var|opt|usr|etc|mnt|private)/\S|[A-Za-z]:\\\w|"
        + re.escape(str(paths.ROOT))
    ),
    "a UUID": re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE),
    "a memory address": re.compile(r"\b0x[0-9a-f]{6,}\b", re.IGNORECASE),
    "a clock time": re.compile(r"\b20\d\d-\d\d-\d\d[T ]\d\d:\d\d|datetime\.datetime\(20\d\d"),
    "a physical name of one run": re.compile(r"\blab[._][0-9a-f]{8}[._]"),
}


@dataclass(frozen=True)
class Finding:
    """One rule that a cell breaks; `cell` is empty when it is the file."""

    lab: str
    cell: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        where = f"{self.lab}#{self.cell}" if self.cell else self.lab
        return f"{where}: {self.problem}\n  next: {self.remedy}"


def check(lab: str, text: str) -> list[Finding]:
    """Everything that is wrong with the text of `notebooks/<lab>.ipynb`, in reading order."""
    try:
        raw = json.loads(text)
        _validate(raw)
    except ValueError as error:
        problem = f"is no valid notebook of format 4.5 ({error})"
        return [Finding(lab, "", problem, "restore the file from git")]
    cells = [_Cell(cell) for cell in raw["cells"]]
    found = [*_ids(cells), *_order(lab, cells), *_frame(lab, cells), *_exercises(lab, cells)]
    for cell in cells:
        if cell.is_code:
            found += [*_source(cell), *_outputs(lab, cell)]
    if not found and text != canonical.text(raw):
        found.append(("", "is not in canonical form", f"run `handbook labs regenerate {lab}`"))
    place = {cell.id: number for number, cell in enumerate(cells)}
    found.sort(key=lambda finding: place.get(finding[0], -1))
    return [Finding(lab, *finding) for finding in found]


_Raw = tuple[str, str, str]


class _Cell:
    def __init__(self, raw: dict[str, Any]) -> None:
        self.id: str = raw.get("id", "")
        self.is_code: bool = raw["cell_type"] == "code"
        self.is_markdown: bool = raw["cell_type"] == "markdown"
        self.source = canonical.join(raw["source"])
        self.metadata: dict[str, Any] = raw["metadata"]
        self.count: int | None = raw.get("execution_count")
        self.outputs: list[dict[str, Any]] = raw.get("outputs", [])

    @property
    def may_raise(self) -> bool:
        return "raises-exception" in self.metadata.get("tags", ())


def _validate(raw: Any) -> None:
    import nbformat

    if not isinstance(raw, dict) or (raw.get("nbformat"), raw.get("nbformat_minor")) != (4, 5):
        raise ValueError("nbformat is not 4.5")
    # Repeated ids are findings of their own, so that they name the cell.
    unique = [{**cell, "id": f"c{n}"} for n, cell in enumerate(raw.get("cells", []))]
    try:
        nbformat.validate({**raw, "cells": unique})
    except nbformat.ValidationError as error:
        raise ValueError(str(error).splitlines()[0]) from error


def _ids(cells: list[_Cell]) -> Iterator[_Raw]:
    seen: set[str] = set()
    for cell in cells:
        if not NAME.fullmatch(cell.id) or RANDOM_NAME.fullmatch(cell.id):
            problem = f"the id `{cell.id}` is no name (its source begins {cell.source[:30]!r})"
            yield cell.id, problem, "give it a name such as e21-watermark-loses"
        elif cell.id in seen:
            yield cell.id, "two cells have this id", "rename one"
        seen.add(cell.id)


def _order(lab: str, cells: list[_Cell]) -> Iterator[_Raw]:
    rerun = f"run `handbook labs regenerate {lab}`"
    for number, cell in enumerate((cell for cell in cells if cell.is_code), start=1):
        if not cell.source.strip():
            yield cell.id, "the code cell is empty", "delete it"
        elif cell.count is None:
            yield cell.id, "the cell was not run", rerun
        elif cell.count != number:
            yield cell.id, f"was run as number {cell.count}, it stands at {number}", rerun
        elif cell.metadata.get(canonical.EXECUTED) != canonical.digest(cell.source):
            yield cell.id, "the code was edited after its outputs were stored", rerun


def _frame(lab: str, cells: list[_Cell]) -> Iterator[_Raw]:
    prose = [cell for cell in cells if cell.is_markdown]
    if not prose or not re.match(r"# \S", prose[0].source):
        where = prose[0].id if prose else ""
        yield where, "the first text is no title", "begin it with `# ` and the question of the lab"
    code = [cell for cell in cells if cell.is_code]
    if not code or not _opens(code[0].source, lab):
        where = code[0].id if code else ""
        yield where, "the first code cell does not open the lab", f'write lab = Lab("{lab}")'
    if code and not _closes(code[-1].source):
        yield code[-1].id, "the last code cell does not close the lab", "write lab.close()"


def _exercises(lab: str, cells: list[_Cell]) -> Iterator[_Raw]:
    """A lab is published with its exercises unsolved, and every exercise has a check below it."""
    waiting = ""
    for cell in cells:
        tags = cell.metadata.get("tags", ())
        if exercises.EDITED in tags:
            waiting = cell.id
            raw = {"source": cell.source, "metadata": cell.metadata}
            if cell.source != exercises.original(raw):
                remedy = f"`handbook exercise reset {lab}`; to publish it, delete its `original`"
                yield cell.id, "the exercise is not as it was published", remedy
        elif exercises.CHECK in tags:
            waiting = ""
            if shown_text(cell.outputs) != UNSOLVED:
                remedy = "end it with `exercise(check)`, whose assertion fails before it is solved"
                yield cell.id, f"a check of an exercise shows anything but {UNSOLVED!r}", remedy
    if waiting:
        yield waiting, "no check follows the exercise", f"tag the next cell {exercises.CHECK}"


def _opens(source: str, lab: str) -> bool:
    return any(
        isinstance(call.func, ast.Name)
        and call.func.id == "Lab"
        and [ast.unparse(argument) for argument in call.args] == [repr(lab)]
        for call in _calls(source)
    )


def _closes(source: str) -> bool:
    return any(ast.unparse(call.func) == "lab.close" for call in _calls(source))


def _parse(source: str) -> ast.Module:
    with _PARSING:
        return ast.parse(source)


def _calls(source: str) -> list[ast.Call]:
    try:
        return [node for node in ast.walk(_parse(source)) if isinstance(node, ast.Call)]
    except SyntaxError:
        return []  # `_source` says so


def _source(cell: _Cell) -> Iterator[_Raw]:
    lines = len(cell.source.splitlines())
    if lines > MAX_LINES:
        remedy = "move logic to snippets/ or split the cell"
        yield cell.id, f"has {lines} lines, the limit is {MAX_LINES}", remedy
    try:
        _parse(cell.source)
    except SyntaxError as error:
        yield cell.id, f"is no plain Python ({error.msg})", "mend it; magics are not used in labs"
    marker = NBVAL_MARKER.search(cell.source)
    if marker:
        remedy = "delete the comment and print what does not vary"
        yield cell.id, f"{marker[1]} takes the cell out of the check", remedy
    for tag in cell.metadata.get("tags", ()):
        if tag.startswith("nbval"):
            remedy = "delete the tag and print what does not vary"
            yield cell.id, f"the tag {tag} takes the cell out of the check", remedy


def _outputs(lab: str, cell: _Cell) -> Iterator[_Raw]:
    for output in cell.outputs:
        if output["output_type"] == "error" and not cell.may_raise:
            remedy = f"mend it, then `handbook labs regenerate {lab}`"
            yield cell.id, f"ended with {output['ename']}: {output['evalue']}", remedy
        if output.get("name") == "stderr":
            yield cell.id, "writes to stderr", "find out why; a lab prints only its results"
        if "image/png" in output.get("data", {}):
            yield cell.id, "shows a PNG, which nobody can compare", "record data, draw from it"
    shown = shown_text(cell.outputs)
    for name, pattern in VOLATILE.items():
        match = pattern.search(shown)
        if match:
            remedy = "print a relation or a count instead"
            yield cell.id, f"its output shows {name} ({match[0]!r})", remedy
    if INVARIANT.match(cell.id) and not shown.strip():
        yield cell.id, "an experiment that shows nothing", "assert the invariant, then print it"


def shown_text(outputs: list[dict[str, Any]]) -> str:
    """What a reader sees of outputs, as text."""
    parts = []
    for output in outputs:
        if "text" in output:
            parts.append(canonical.join(output["text"]))
        for mime, value in sorted(output.get("data", {}).items()):
            if mime.startswith("text/"):
                parts.append(canonical.join(value))
        if output["output_type"] == "error":
            parts.append(f"{output['ename']}: {output['evalue']}")
    return "\n".join(part.rstrip("\n") for part in parts)
