"""The rules that make `snippets/` readable and copyable, and their twins."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from handbook import paths

PARTS = ("Guarantees:", "Does not guarantee:", "Assumes:", "Proved by:")
MODULES = sorted(paths.SNIPPETS.rglob("*.py"))
NAIVE = [path for path in MODULES if path.parent.name == "naive" and path.stem != "__init__"]
# What is no pattern of its own: words, parts that others are made of.
PARTS_OF_OTHERS = {"__init__", "checkpoint", "correlation", "errors"}
PATTERNS = [path for path in paths.SNIPPETS.glob("*.py") if path.stem not in PARTS_OF_OTHERS]
PATTERNS += [paths.SNIPPETS / package / "__init__.py" for package in ("anomalies", "steps")]
PROOF = re.compile(r"(tests/[\w/]+\.py)(?:::(\w+))?")


def docstring(path: Path) -> str:
    """The module's docstring."""
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def imported(source: str) -> set[str]:
    """Top-level names of everything a module imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found


def unproved(text: str) -> list[str]:
    """Tests that a docstring names and that do not exist; `nothing` when it names none."""
    named = PROOF.findall(text)
    missing = [f"{file}::{test}" for file, test in named if not _exists(file, test)]
    return missing if named else ["nothing"]


def _exists(file: str, test: str) -> bool:
    path = paths.ROOT / file
    if not path.exists():
        return False
    functions = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return not test or test in {node.name for node in functions if isinstance(node, kinds)}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(paths.SNIPPETS)))
def test_snippet_imports_nothing_from_the_tooling(path: Path) -> None:
    """A reader can copy the file: it does not know `handbook`."""
    assert "handbook" not in imported(path.read_text(encoding="utf-8"))


def test_import_rule_is_red_when_a_snippet_imports_the_tooling() -> None:
    """Twin: both forms of import are seen."""
    assert "handbook" in imported("from handbook.lab import Lab")
    assert "handbook" in imported("def f():\n    import handbook.stack")


@pytest.mark.parametrize("path", PATTERNS, ids=lambda p: str(p.relative_to(paths.SNIPPETS)))
def test_pattern_states_its_contract(path: Path) -> None:
    """A pattern says what it guarantees, what not, what it assumes and which tests prove it."""
    text = docstring(path)

    assert [part for part in PARTS if part not in text] == []
    assert unproved(text) == []


@pytest.mark.parametrize("path", NAIVE, ids=lambda p: p.stem)
def test_naive_module_says_what_it_loses_and_where_that_is_shown(path: Path) -> None:
    """The first line names the damage, the last the test that counts it."""
    text = docstring(path)

    assert re.match(r"(Loses|Doubles|Breaks)\b", text)
    assert unproved(text) == []


def test_contract_rule_is_red_when_a_named_test_does_not_exist() -> None:
    """Twin: a renamed test, a moved file and no proof at all are seen."""
    assert unproved("Proved by: tests/snippets/test_relay.py::test_gone") != []
    assert unproved("Proved by: tests/snippets/test_gone.py") != []
    assert unproved("Proved by: hope") == ["nothing"]
