"""Claims of `handbook.notebooks.verify`: the order of the gates and what they write."""

from __future__ import annotations

import hashlib
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lab_samples as samples
import pytest

from handbook import paths
from handbook.errors import CheckFailedError
from handbook.lab import wait_until
from handbook.lab.database import tooling
from handbook.notebooks import verify
from handbook.stack import Stack

pytestmark = pytest.mark.stack

RECORD = """\
trace = lab.trace("sum")
trace.add("과정", "commit", "저장")
print(trace.save().name)"""
CELLS = (*samples.CELLS[:-1], ("code", "e1-record", RECORD), samples.CELLS[-1])


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory, stack: Stack) -> Path:
    """A lab with a recording, run once for all tests of this module."""
    home = tmp_path_factory.mktemp("stored")
    with pytest.MonkeyPatch.context() as patch:
        move(home, patch)
        samples.write(paths.NOTEBOOKS, *CELLS)
        verify.regenerate(samples.LAB)
    return home


@pytest.fixture
def lab(stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that lab, in a project folder of the test's own."""
    home = tmp_path / "project"
    shutil.copytree(stored, home)
    move(home, monkeypatch)
    return home / "notebooks" / f"{samples.LAB}.ipynb"


def move(home: Path, patch: pytest.MonkeyPatch) -> None:
    """Let the gates work on another project."""
    patch.setattr(paths, "NOTEBOOKS", home / "notebooks")
    patch.setattr(paths, "DATA", home / "data")
    patch.setattr(paths, "BUILD", home / "build")


def trace_file() -> Path:
    """The stored recording of the lab."""
    return paths.DATA / "trace" / samples.LAB / "sum.json"


def results() -> Any:
    """What build/labs.json says."""
    return json.loads(verify.results_file().read_text(encoding="utf-8"))


def red(stack: Stack) -> str:
    """The message of a check that must fail, which takes the lab's entry away."""
    verify.record(samples.LAB, {"verified": "2026-01-01"})
    verify.record("02-other", {"verified": "2026-01-01"})
    with pytest.raises(CheckFailedError) as error:
        verify.check(samples.LAB, stack)
    assert list(results()) == ["02-other"]
    return str(error.value)


def test_check_writes_what_was_verified_when_all_gates_are_green(lab: Path, stack: Stack) -> None:
    """The entry holds the digest of the file, the versions that the servers have, and the run."""
    stages: list[str] = []
    verify.check(samples.LAB, stack, lambda stage, done: stages.append(f"{stage} {done}"))
    entry = results()[samples.LAB]
    seconds, python, commit = entry.pop("seconds"), entry.pop("python"), entry.pop("commit")
    assert entry == {
        "verified": datetime.now(UTC).date().isoformat(),
        "sha256": hashlib.sha256(lab.read_bytes()).hexdigest(),
        "cells": 5,
        "postgres": "18.4",
        "kafka": "4.4.0",
    }
    assert (seconds > 0, python.count("."), bool(commit)) == (True, 2, True)
    assert stages == [f"{stage} {n}" for stage in ("nbval", "regenerate") for n in range(1, 6)]


def test_check_is_red_without_a_run_when_the_structure_is_broken(lab: Path, stack: Stack) -> None:
    """The structural gate is first: nothing is started."""
    samples.edit(lab, "e1-sum", execution_count=None, source="print(43)")
    message = red(stack)
    assert "01-sample#e1-sum: the cell was not run" in message
    assert "handbook labs regenerate 01-sample" in message


def test_check_is_red_when_nbval_gets_another_output(lab: Path, stack: Stack) -> None:
    """A corrupted output is found by nbval."""
    samples.edit(lab, "e1-sum", outputs=[samples.stream("합계 41\n")])
    assert "e1-sum gave another output" in red(stack)


def test_check_is_red_when_only_the_regenerated_file_differs(lab: Path, stack: Stack) -> None:
    """What nbval does not compare, such as the kind of an output, the last gate does."""
    raw = json.loads(lab.read_text(encoding="utf-8"))
    output = samples.by_id(raw, "e1-list")["outputs"][0]
    del output["execution_count"]
    samples.edit(lab, "e1-list", outputs=[{**output, "output_type": "display_data"}])
    message = red(stack)
    assert '-     "output_type": "display_data"' in message
    assert '+     "output_type": "execute_result"' in message


def test_check_is_red_when_the_stored_recording_is_stale(lab: Path, stack: Stack) -> None:
    """A recording that the lab no longer makes is not drawn on a page."""
    stale = trace_file().read_text(encoding="utf-8").replace("저장", "취소")
    trace_file().write_text(stale, encoding="utf-8")
    message = red(stack)
    assert "another trace/01-sample/sum.json" in message
    assert "취소" in message


def test_recordings_are_red_when_one_is_missing_or_left_over(lab: Path) -> None:
    """The stored recordings are those of the run, no more and no fewer."""
    made = {"trace/01-sample/sum.json": trace_file().read_text(encoding="utf-8")}
    verify.same_recordings(samples.LAB, made)
    more = {**made, "trace/01-sample/new.json": trace_file().read_text(encoding="utf-8")}
    with pytest.raises(CheckFailedError, match=r"another trace/01-sample/new\.json"):
        verify.same_recordings(samples.LAB, more)
    with pytest.raises(CheckFailedError, match=r"another trace/01-sample/sum\.json"):
        verify.same_recordings(samples.LAB, {})


def spans(*times: tuple[int, int], who: str = "1") -> str:
    """A recording of a connection and a lock of `who`, held from and to so many ms."""
    kinds = ("conn", "rowlock")
    held = [
        {"who": one, "what": what, "from_ms": begin, "to_ms": end, "outcome": "ok"}
        for one, what, (begin, end) in zip(("1", who), kinds, times, strict=True)
    ]
    return json.dumps({"measured": {}, "strips": [{"title": "1", "spans": held}]})


def test_measured_times_are_compared_by_what_holds_what() -> None:
    """Other milliseconds are the same recording; a lock that outlives its connection is not."""
    name = "spans/01-sample/held.json"
    stored = verify.relations(name, spans((0, 90), (10, 80)))
    assert verify.relations(name, spans((0, 50), (20, 30))) == stored
    assert verify.relations(name, spans((0, 90), (10, 99))) != stored
    assert verify.relations("steps/a/b.json", "{ }") == "{ }"


def test_measured_times_of_different_requests_are_not_compared() -> None:
    """Who waits for a connection may begin or end in the same millisecond as its holder."""
    name = "spans/01-sample/held.json"
    stored = verify.relations(name, spans((0, 90), (10, 80), who="2"))
    assert verify.relations(name, spans((0, 90), (10, 99), who="2")) == stored


def test_regenerate_changes_one_line_when_one_output_changed(lab: Path, stack: Stack) -> None:
    """The diff is as small as the change; lab and recording are stored."""
    before = lab.read_text(encoding="utf-8").splitlines()
    samples.edit(lab, "e1-sum", outputs=[samples.stream("합계 41\n")])
    trace_file().unlink()
    assert verify.regenerate(samples.LAB) == [lab, trace_file()]
    assert lab.read_text(encoding="utf-8").splitlines() == before
    assert json.loads(trace_file().read_text(encoding="utf-8"))["lanes"] == ["과정"]
    assert verify.regenerate(samples.LAB) == []


def test_regenerate_touches_nothing_when_a_cell_raises(lab: Path, stack: Stack) -> None:
    """File and recordings are as before, and the lab's database is gone."""
    samples.edit(lab, "e1-record", source="raise KeyError('주문')")
    before = (lab.read_bytes(), trace_file().read_bytes())
    with pytest.raises(CheckFailedError, match="01-sample#e1-record raised"):
        verify.regenerate(samples.LAB)
    assert (lab.read_bytes(), trace_file().read_bytes()) == before
    query = "SELECT count(*) FROM pg_database WHERE datname LIKE 'lab%01_sample'"
    with tooling(stack.postgres) as conn:

        def closed() -> bool:
            return conn.execute(query).fetchone() == (0,)

        wait_until(closed, what="the end of the lab's database")


def test_recording_is_refused_when_it_breaks_the_schema(lab: Path, stack: Stack) -> None:
    """An empty recording is no picture."""
    samples.edit(lab, "e1-record", source='print(lab.trace("sum").save().name)')
    with pytest.raises(CheckFailedError, match=r"trace 01-sample/sum.json breaks its schema"):
        verify.regenerate(samples.LAB)


def test_commit_is_uncommitted_when_a_file_that_takes_part_is_not_in_git() -> None:
    """A lab that git does not have was not verified on any commit."""
    assert verify.commit("no-such-lab") != ""
    (paths.ROOT / "notebooks" / "99-uncommitted.ipynb").touch()
    try:
        assert verify.commit("99-uncommitted") == "uncommitted"
    finally:
        (paths.ROOT / "notebooks" / "99-uncommitted.ipynb").unlink()
