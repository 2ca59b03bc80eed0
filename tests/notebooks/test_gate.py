"""Claims of the structural gate: a good lab is green, each broken rule is red."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import lab_samples as samples
import pytest

from handbook import paths
from handbook.notebooks import canonical, gate

Break = Callable[[dict[str, Any]], None]


def findings(made: dict[str, Any]) -> list[gate.Finding]:
    """What the gate finds in a notebook in canonical form."""
    return gate.check(samples.LAB, canonical.text(made))


def change(name: str, **changes: Any) -> Break:
    """Break one cell."""
    return lambda made: samples.by_id(made, name).update(changes)


def rewrite(name: str, source: str) -> Break:
    """Another source that was run as it is."""
    metadata = {canonical.EXECUTED: canonical.digest(source)}
    return change(name, source=source, metadata=metadata)


def tag(name: str, *tags: str) -> Break:
    """Tag one cell."""
    return lambda made: samples.by_id(made, name)["metadata"].update(tags=list(tags))


def show(text: str) -> Break:
    """Another output."""
    return change("e1-sum", outputs=[samples.stream(text)])


def append(*cell: str) -> Break:
    """One more cell, not run."""
    return lambda made: made["cells"].append(samples.cell(*cell))


ERROR = {"output_type": "error", "ename": "KeyError", "evalue": "'id'", "traceback": []}
PNG = {"output_type": "display_data", "data": {"image/png": "iVBO"}, "metadata": {}}
LONG = "\n".join(f"a{n} = {n}" for n in range(15))

BROKEN: dict[str, tuple[Break, str, str]] = {
    "hex id": (change("e1-sum", id="3f2a9c01"), "3f2a9c01", "is no name"),
    "capital in id": (change("e1-sum", id="E1"), "E1", "is no name"),
    "same id": (change("e1-list", id="e1-sum"), "e1-sum", "two cells"),
    "no count": (change("e1-sum", execution_count=None), "e1-sum", "was not run"),
    "wrong count": (change("e1-sum", execution_count=7), "e1-sum", "as number 7, it stands at 2"),
    "edited": (change("e1-sum", source="print(43)"), "e1-sum", "edited after its outputs"),
    "empty": (rewrite("e1-sum", "  "), "e1-sum", "is empty"),
    "new cell": (append("code", "more", "1"), "more", "was not run"),
    "no title": (change("title", source="주문"), "title", "no title"),
    "deeper title": (change("title", source="## 주문"), "title", "no title"),
    "lab of another": (rewrite("setup", 'lab = Lab("02-other")'), "setup", "does not open"),
    "no lab": (rewrite("setup", "1"), "setup", "does not open"),
    "not closed": (rewrite("cleanup", "1"), "cleanup", "does not close"),
    "too long": (rewrite("e1-sum", LONG), "e1-sum", "15 lines, the limit is 14"),
    "magic": (rewrite("e1-sum", "%time 1"), "e1-sum", "no plain Python"),
    "nbval comment": (rewrite("e1-sum", "# NBVAL_IGNORE_OUTPUT\n1"), "e1-sum", "out of the check"),
    "nbval tag": (tag("e1-sum", "nbval-ignore-output"), "e1-sum", "out of the check"),
    "error": (change("e1-sum", outputs=[ERROR]), "e1-sum", "ended with KeyError"),
    "stderr": (change("e1-sum", outputs=[samples.stream("w", "stderr")]), "e1-sum", "to stderr"),
    "png": (change("e1-sum", outputs=[samples.stream("1"), PNG]), "e1-sum", "PNG"),
    "silent": (change("e1-sum", outputs=[]), "e1-sum", "shows nothing"),
    "port": (show("at 127.0.0.1:29527"), "e1-sum", "a port"),
    "named port": (show("port=54321"), "e1-sum", "a port"),
    "path": (show("/home/kim/handbook/x.py"), "e1-sum", "an absolute path"),
    "this checkout": (show(f"in {paths.ROOT}/snippets"), "e1-sum", "an absolute path"),
    "uuid": (show("id 0b2f1f8e-53a4-4bbd-9f0e-6a1e0c1f2d3c"), "e1-sum", "a UUID"),
    "address": (show("<object at 0x7f84d6100190>"), "e1-sum", "a memory address"),
    "clock": (show("2026-11-23 19:31:26+00"), "e1-sum", "a clock time"),
    "physical name": (show("lab.2bd29edb.01-sample.a"), "e1-sum", "a physical name"),
}


def test_gate_is_green_when_the_lab_is_whole() -> None:
    """The sample that every twin breaks has no finding."""
    assert findings(samples.executed()) == []


@pytest.mark.parametrize(("broken", "cell", "problem"), BROKEN.values(), ids=BROKEN)
def test_gate_is_red_when_a_rule_is_broken(broken: Break, cell: str, problem: str) -> None:
    """Each broken rule names the cell, the problem and what to do."""
    made = samples.executed()
    broken(made)
    found = findings(made)
    assert cell in [finding.cell for finding in found]
    assert any(problem in finding.problem and finding.remedy for finding in found), found


@pytest.mark.parametrize(
    "text",
    [
        "합계=42 10:30",
        "GET /courses/3 -> 200",
        "42501",
        "kills=3 lost=3",
        "PostgreSQL 18.4",
        "0x1f",
    ],
)
def test_gate_is_green_when_an_output_only_looks_volatile(text: str) -> None:
    """Paths of an API, SQLSTATEs, counts and versions are results."""
    made = samples.executed()
    show(text)(made)
    assert findings(made) == []


def test_gate_is_green_when_a_cell_may_raise() -> None:
    """The tag raises-exception allows an error as the result."""
    made = samples.executed()
    change("e1-sum", outputs=[ERROR])(made)
    tag("e1-sum", "raises-exception")(made)
    assert findings(made) == []


def test_gate_says_what_to_run_when_a_lab_was_edited_but_not_run() -> None:
    """The finding names lab and cell, and the command that mends it."""
    made = samples.executed()
    change("e1-sum", source="print(43)")(made)
    (finding,) = findings(made)
    assert str(finding) == (
        "01-sample#e1-sum: the code was edited after its outputs were stored\n"
        "  next: run `handbook labs regenerate 01-sample`"
    )


def test_gate_lists_findings_in_reading_order_when_there_are_many() -> None:
    """All findings come at once, the first cell first."""
    made = samples.executed()
    for broken in (
        change("cleanup", execution_count=None),
        show("0xdeadbeef"),
        rewrite("setup", "1"),
    ):
        broken(made)
    assert [finding.cell for finding in findings(made)] == ["setup", "e1-sum", "cleanup"]


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"nbformat": 3}', '{"nbformat": 4, "nbformat_minor": 4, "cells": []}']
)
def test_gate_is_red_when_the_file_is_no_notebook(text: str) -> None:
    """A broken or an older file is one finding, not a traceback."""
    (finding,) = gate.check(samples.LAB, text)
    assert "no valid notebook of format 4.5" in finding.problem


def test_gate_is_red_when_the_form_is_not_canonical() -> None:
    """The same content in other bytes would make the next diff large."""
    text = json.dumps(json.loads(canonical.text(samples.executed())), indent=2)
    (finding,) = gate.check(samples.LAB, text)
    assert finding.problem == "is not in canonical form"
