"""Style sheets reduced to the rules that the built pages use."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import tinycss2
from tinycss2.ast import Node

CLASS = re.compile(r"\.(-?[A-Za-z_][\w-]*)")
ATTRIBUTE = re.compile(r"""\bclass\s*=\s*(?:"([^"]*)"|'([^']*)')""")
VARIABLE = re.compile(r"var\(\s*(--[\w-]+)")
NESTING = frozenset({"media", "supports", "layer"})


@dataclass(frozen=True)
class Sheet:
    """The reduced style sheet, and its size before in bytes."""

    css: str
    before: int


def classes(pages: Iterable[str]) -> set[str]:
    """Every class name in these pages' HTML."""
    found = (one or two for page in pages for one, two in ATTRIBUTE.findall(page))
    return {name for value in found for name in value.split()}


def purge(sheets: Iterable[str], used: set[str]) -> Sheet:
    """Keep what can match: rules all of whose classes are used, and the variables they need.

    A rule without any class is dropped: it would reach beyond the labs into the whole page.
    """
    unique = list(dict.fromkeys(sheets))
    rules = [
        rule
        for sheet in unique
        for rule in tinycss2.parse_stylesheet(sheet, skip_comments=True, skip_whitespace=True)
    ]
    kept = [text for rule in rules if (text := _rule(rule, used))]
    wanted = _needed_variables(rules, "\n".join(kept))
    css = "\n".join([*([f":root{{{wanted}}}"] if wanted else []), *kept])
    return Sheet(css, sum(len(sheet.encode()) for sheet in unique))


def _rule(rule: Node, used: set[str]) -> str:
    if rule.type == "qualified-rule":
        return _qualified(rule, used)
    if rule.type == "at-rule" and rule.lower_at_keyword in NESTING and rule.content:
        inner = tinycss2.parse_blocks_contents(rule.content, True, True)
        kept = "".join(_rule(child, used) for child in inner)
        prelude = tinycss2.serialize(rule.prelude)
        return f"@{rule.at_keyword}{prelude}{{{kept}}}" if kept else ""
    return ""


def _qualified(rule: Any, used: set[str]) -> str:
    kept = [
        selector
        for selector in _selectors(rule.prelude)
        if (names := CLASS.findall(selector)) and used.issuperset(names)
    ]
    body = ";".join(
        declaration.serialize()
        for declaration in tinycss2.parse_blocks_contents(rule.content, True, True)
        if declaration.type == "declaration" and not declaration.name.startswith("--")
    )
    return f"{','.join(kept)}{{{body}}}" if kept and body else ""


def _selectors(prelude: list[Node]) -> list[str]:
    """The comma-separated selectors; commas inside `:is(…)` are nested and stay together."""
    parts: list[list[Node]] = [[]]
    for token in prelude:
        if token == ",":
            parts.append([])
        else:
            parts[-1].append(token)
    return [tinycss2.serialize(part).strip() for part in parts]


def _needed_variables(rules: list[Node], css: str) -> str:
    values: dict[str, str] = {}
    for rule in rules:
        if rule.type == "qualified-rule":
            for item in tinycss2.parse_blocks_contents(rule.content, True, True):
                if item.type == "declaration" and item.name.startswith("--"):
                    values.setdefault(item.name, tinycss2.serialize(item.value).strip())
    needed: list[str] = []
    queue = VARIABLE.findall(css)
    while queue:
        name = queue.pop()
        if name in values and name not in needed:
            needed.append(name)
            queue += VARIABLE.findall(values[name])
    return ";".join(f"{name}:{values[name]}" for name in sorted(needed))
