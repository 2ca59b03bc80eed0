"""The gates of a lab in order, and what they proved: structure, nbval, regenerate and diff."""

from __future__ import annotations

import difflib
import fcntl
import functools
import hashlib
import json
import platform
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from handbook import paths
from handbook.errors import CheckFailedError
from handbook.lab import versions
from handbook.notebooks import canonical, gate, runner, store
from handbook.stack import Stack

# Called with a stage and the number of code cells done in it.
Progress = Callable[[str, int], None]


def silent(stage: str, done: int) -> None:
    """No progress."""


def check(lab: str, stack: Stack, progress: Progress = silent) -> dict[str, Any]:
    """All gates of one lab; what was verified is written to build/labs.json, a failure removes it.

    Raises:
        CheckFailedError: the first gate that is red.
    """
    try:
        entry = _check(lab, stack, progress)
    except BaseException:
        record(lab, None)
        raise
    record(lab, entry)
    return entry


def _check(lab: str, stack: Stack, progress: Progress) -> dict[str, Any]:
    path = store.find(lab)
    stored = path.read_text(encoding="utf-8")
    structural(lab, stored)
    runner.compare(path, functools.partial(progress, "nbval"))
    again = runner.execute(path, functools.partial(progress, "regenerate"))
    same(lab, stored, canonical.text(again.raw), path.name)
    same_recordings(lab, again.recordings)
    return _entry(lab, stored, again, stack)


def structural(lab: str, stored: str) -> None:
    """The first gate.

    Raises:
        CheckFailedError: lists every finding.
    """
    findings = gate.check(lab, stored)
    if findings:
        first, *others = findings
        lines = [f"{f.lab}#{f.cell}: {f.problem}\n    {f.remedy}" for f in others]
        more = "".join(f"\n  {line}" for line in lines)
        where = f"{lab}#{first.cell}" if first.cell else lab
        raise CheckFailedError(f"{where}: {first.problem}\n    {first.remedy}{more}", first.remedy)


def same(lab: str, stored: str, again: str, what: str) -> None:
    """The last gate: a new run gives the same bytes.

    Raises:
        CheckFailedError: holds the difference.
    """
    if stored != again:
        diff = difflib.unified_diff(
            stored.splitlines(), again.splitlines(), f"{what} (stored)", f"{what} (new)", "", "", 2
        )
        lines = "\n".join(list(diff)[:40])
        raise CheckFailedError(
            f"{lab}: a new run gives another {what}\n{lines}",
            f"mend the lab; if the new run is right, `handbook labs regenerate {lab}`",
        )


def same_recordings(lab: str, made: dict[str, str]) -> None:
    """The recordings of a run are those that are stored, no more and no fewer.

    Raises:
        CheckFailedError: one is stale, missing, left over, or breaks the schema.
    """
    stored = runner.recordings(paths.DATA, lab)
    for name in sorted(stored.keys() | made.keys()):
        before, after = stored.get(name, ""), made.get(name, "")
        same(lab, relations(name, before), relations(name, after), name)
        _validate(name, after)


def relations(name: str, text: str) -> str:
    """What of a recording is the same in every run: all of it, but for measured times."""
    if not text or not name.startswith("spans/"):
        return text
    data = json.loads(text)
    del data["measured"]
    for strip in data["strips"]:
        spans = strip["spans"]
        holds = [[_within(inner, outer) for inner in spans] for outer in spans]
        strip["spans"] = [{k: v for k, v in s.items() if k[-3:] != "_ms"} for s in spans]
        strip["holds"] = holds
    return json.dumps(data, ensure_ascii=False, indent=1, sort_keys=True)


def _within(inner: dict[str, Any], outer: dict[str, Any]) -> bool:
    """A lock in its connection, a call in either; the reverse would hang on rounding.

    So would what different requests hold.
    """
    deeper = ["conn", "rowlock", "remote"].index
    return bool(
        outer["who"] == inner["who"]
        and deeper(outer["what"]) < deeper(inner["what"])
        and outer["from_ms"] <= inner["from_ms"]
        and inner["to_ms"] <= outer["to_ms"]
    )


def _validate(name: str, text: str) -> None:
    import jsonschema

    kind, _, which = name.partition("/")
    schema = json.loads((paths.ROOT / f"docs/_data/schema/{kind}.schema.json").read_text())
    try:
        jsonschema.validate(json.loads(text), schema)  # type: ignore[no-untyped-call]
    except jsonschema.ValidationError as error:
        raise CheckFailedError(
            f"{kind} {which} breaks its schema: {error.message}", "mend the cell that records"
        ) from error


def regenerate(lab: str, progress: Progress = silent) -> list[Path]:
    """Run the lab and store its outputs and recordings; the files that changed.

    Raises:
        CheckFailedError: a cell raised; no file was touched.
    """
    path = store.find(lab)
    again = runner.execute(path, functools.partial(progress, "regenerate"))
    for name, text in again.recordings.items():
        _validate(name, text)
    changed = [path] if canonical.write(path, again.raw) else []
    return changed + _store(lab, again.recordings)


def _store(lab: str, made: dict[str, str]) -> list[Path]:
    stored = runner.recordings(paths.DATA, lab)
    changed = [paths.DATA / name for name in stored.keys() - made.keys()]
    for path in changed:
        path.unlink()
    for name, text in made.items():
        if relations(name, stored.get(name, "")) != relations(name, text):
            path = paths.DATA / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed


def results_file() -> Path:
    """What was verified when and on what; written by `check` only."""
    return paths.BUILD / "labs.json"


def record(lab: str, entry: dict[str, Any] | None) -> None:
    """Put or remove one entry; checks may run side by side."""
    path = results_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name("labs.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        entries = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        entries.pop(lab, None)
        if entry is not None:
            entries[lab] = entry
        part = path.with_suffix(".part")
        part.write_text(json.dumps(entries, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        part.replace(path)


def _entry(lab: str, stored: str, again: runner.Execution, stack: Stack) -> dict[str, Any]:
    return {
        "verified": datetime.now(UTC).date().isoformat(),
        "sha256": hashlib.sha256(stored.encode()).hexdigest(),
        "cells": sum(cell["cell_type"] == "code" for cell in again.raw["cells"]),
        "seconds": round(again.seconds, 1),
        "postgres": versions.postgres(stack),
        "kafka": versions.kafka(stack),
        "python": platform.python_version(),
        "commit": commit(lab),
    }


def commit(lab: str) -> str:
    """The commit of what ran, or "uncommitted" when a file that takes part differs from it."""
    taking_part = [f"notebooks/{lab}.ipynb", "snippets", "handbook/lab"]
    if _git("status", "--porcelain", "--", *taking_part) != "":
        return "uncommitted"
    return _git("rev-parse", "--short", "HEAD") or "uncommitted"


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=paths.ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
