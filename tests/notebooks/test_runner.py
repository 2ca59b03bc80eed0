"""Claims of `handbook.notebooks.runner`: real kernels on the real stack."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import lab_samples as samples
import psutil
import pytest

from handbook.errors import CheckFailedError
from handbook.notebooks import canonical, kernels, runner
from handbook.stack import Stack

pytestmark = pytest.mark.stack


def kernels_of_this_test() -> list[int]:
    """Kernels and nbval runs that a run has left."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it ended while we looked
            command = " ".join(child.cmdline())
            if "ipykernel" in command or "nbval" in command:
                found.append(child.pid)
    return found


@pytest.fixture
def executed(tmp_path: Path, stack: Stack) -> Path:
    """The sample, run and stored."""
    path = samples.write(tmp_path)
    canonical.write(path, runner.execute(path).raw)
    return path


def test_stored_outputs_are_what_the_run_gave_when_executed(tmp_path: Path, stack: Stack) -> None:
    """`execute` runs every cell in order, counts it, and stores what it showed."""
    path = samples.write(tmp_path)
    done: list[int] = []
    again = runner.execute(path, done.append)
    assert canonical.text(again.raw) == canonical.text(samples.executed())
    assert done == [1, 2, 3, 4]
    assert again.recordings == {}
    assert kernels_of_this_test() == []


def test_compare_is_green_when_every_output_comes_out_again(executed: Path) -> None:
    """Strict nbval passes a lab that was just stored, and tells of every cell."""
    done: list[int] = []
    runner.compare(executed, done.append)
    assert done == [1, 2, 3, 4]
    assert kernels_of_this_test() == []


def test_compare_is_red_when_a_stored_output_was_changed(executed: Path) -> None:
    """The message names lab and cell, what was stored, what came, and what to run."""
    samples.edit(executed, "e1-sum", outputs=[samples.stream("합계 41\n")])
    with pytest.raises(CheckFailedError) as red:
        runner.compare(executed)
    assert str(red.value) == (
        "01-sample#e1-sum gave another output.\n"
        "  expected:\n    합계 41\n  got:\n    합계 42\n"
        "  next: mend the lab; if the new output is right, `handbook labs regenerate 01-sample`"
    )


def test_compare_is_red_when_a_cell_raises(executed: Path) -> None:
    """The exception of the cell is in the message."""
    samples.edit(executed, "e1-sum", source="{}['주문']")
    with pytest.raises(CheckFailedError, match=r"01-sample#e1-sum: [\s\S]*KeyError: '주문'"):
        runner.compare(executed)


def test_execute_stops_and_names_the_cell_when_it_raises(tmp_path: Path, stack: Stack) -> None:
    """Nothing is returned to be stored, and no kernel is left."""
    cells = [*samples.CELLS[:2], ("code", "e1-sum", "raise KeyError('주문')"), *samples.CELLS[3:]]
    path = samples.write(tmp_path, *cells)
    done: list[int] = []
    with pytest.raises(CheckFailedError, match=r"01-sample#e1-sum raised:[\s\S]*KeyError: '주문'"):
        runner.execute(path, done.append)
    assert done == [1]
    assert kernels_of_this_test() == []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import time; time.sleep(60)", "e1-sum did not end"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "e1-sum did not end"),
    ],
    ids=["hangs", "kills its kernel"],
)
def test_execute_names_the_cell_when_it_does_not_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, message: str
) -> None:
    """A cell that hangs, or whose kernel dies, is a finding and not a hanging gate."""
    monkeypatch.setattr(kernels, "CELL_TIMEOUT", 1)
    path = samples.write(tmp_path, samples.CELLS[0], ("code", "e1-sum", source))
    with pytest.raises(CheckFailedError, match=message):
        runner.execute(path)
    assert kernels_of_this_test() == []


def test_compare_names_the_cell_when_it_does_not_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time limit of nbval is ours."""
    monkeypatch.setattr(kernels, "CELL_TIMEOUT", 1)
    path = samples.write(tmp_path, ("code", "e1-sum", "import time; time.sleep(60)"))
    with pytest.raises(CheckFailedError, match=r"01-sample#e1-sum"):
        runner.compare(path)
    assert kernels_of_this_test() == []


def test_a_lab_runs_as_anywhere_when_the_reader_has_settings_of_his_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Profiles, start-up files and kernels of the reader's home do not reach the lab."""
    startup = tmp_path / "home" / ".ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "noise.py").write_text("print('noise'); answer = 41")
    spec = tmp_path / "home" / ".local" / "share" / "jupyter" / "kernels" / "python3"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text(json.dumps({"argv": ["false"], "display_name": "broken"}))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    source = "print('answer' in globals())"
    path = samples.write(tmp_path, ("code", "e1-sum", source))
    raw = runner.execute(path).raw
    canonical.write(path, raw)
    assert samples.by_id(raw, "e1-sum")["outputs"][0]["text"] == "False\n"
    runner.compare(path)


def test_a_lab_works_in_its_folder_when_it_is_run(tmp_path: Path) -> None:
    """Relative paths of a cell mean the same in the gates as in JupyterLab."""
    path = samples.write(tmp_path, ("code", "e1-sum", "import os; print(os.listdir())"))
    raw: dict[str, Any] = runner.execute(path).raw
    assert samples.by_id(raw, "e1-sum")["outputs"][0]["text"] == f"['{path.name}']\n"
    assert os.listdir(tmp_path) == [path.name]  # noqa: PTH208 - as the cell does
