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
from handbook.notebooks import canonical, gate, runner, store
from handbook.stack import Stack, compose, settings

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
    same_traces(lab, again.traces)
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


def same_traces(lab: str, traces: dict[str, str]) -> None:
    """The recordings of a run are those that are stored, no more and no fewer.

    Raises:
        CheckFailedError: one is stale, missing, left over, or breaks the schema.
    """
    folder = trace_folder(lab)
    stored = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    for name in sorted(stored.keys() | traces.keys()):
        same(lab, stored.get(name, ""), traces.get(name, ""), f"trace/{lab}/{name}")
        _validate_trace(lab, name, traces[name])


def _validate_trace(lab: str, name: str, text: str) -> None:
    import jsonschema

    schema = json.loads((paths.ROOT / "docs/_data/schema/trace.schema.json").read_text())
    try:
        jsonschema.validate(json.loads(text), schema)  # type: ignore[no-untyped-call]
    except jsonschema.ValidationError as error:
        raise CheckFailedError(
            f"trace {lab}/{name} breaks its schema: {error.message}", "mend the cell that records"
        ) from error


def regenerate(lab: str, progress: Progress = silent) -> list[Path]:
    """Run the lab and store its outputs and traces; the files that changed.

    Raises:
        CheckFailedError: a cell raised; no file was touched.
    """
    path = store.find(lab)
    again = runner.execute(path, functools.partial(progress, "regenerate"))
    for name, text in again.traces.items():
        _validate_trace(lab, name, text)
    changed = [path] if canonical.write(path, again.raw) else []
    return changed + _store_traces(lab, again.traces)


def _store_traces(lab: str, traces: dict[str, str]) -> list[Path]:
    folder = trace_folder(lab)
    changed = []
    for path in folder.glob("*.json"):
        if path.name not in traces:
            path.unlink()
            changed.append(path)
    for name, text in traces.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed


def trace_folder(lab: str) -> Path:
    """Where the recordings that pages draw are stored."""
    return paths.DATA / "trace" / lab


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
        "postgres": postgres_version(stack),
        "kafka": kafka_version(stack),
        "python": platform.python_version(),
        "commit": commit(lab),
    }


def postgres_version(stack: Stack) -> str:
    """What the server itself says, such as 18.4."""
    from handbook.lab.database import tooling

    with tooling(stack.postgres) as conn:
        row = conn.execute("SHOW server_version").fetchone()
    assert row is not None
    return str(row[0]).split()[0]


def kafka_version(stack: Stack) -> str:
    """The version of the jars or of the image that runs; other people's brokers do not tell."""
    if stack.kind == "embedded":
        return settings.KAFKA_VERSION
    if stack.kind == "compose":
        return next(s.version for s in compose.status() if s.name.startswith("kafka"))
    return "unknown"


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
