"""Run labs: strictly compared by nbval, or executed again to store their outputs."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handbook.errors import CheckFailedError
from handbook.notebooks import canonical, kernels

# Called with the number of code cells done.
Progress = Callable[[int], None]
ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Execution:
    """A notebook after a run of all its cells."""

    raw: dict[str, Any]
    seconds: float
    recordings: dict[str, str]


def silent(done: int) -> None:
    """No progress."""


def compare(path: Path, progress: Progress = silent) -> None:
    """Run the lab with strict nbval: every stored output must come out again.

    Raises:
        CheckFailedError: names the cell, what was stored and what came.
    """
    with kernels.scratch() as folder:
        reading, writing = os.pipe()
        process = subprocess.Popen(
            _nbval(path),
            cwd=path.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            pass_fds=(writing,),
            env={
                **kernels.environment(folder),
                "HANDBOOK_REPORT": str(writing),
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            },
        )
        os.close(writing)
        failed = None
        with process, os.fdopen(reading, encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                cell = json.loads(line)
                if not cell["passed"] and failed is None:
                    failed = cell
                progress(number)
            said = process.stdout.read() if process.stdout else ""
    if failed is not None:
        raise _mismatch(path.stem, failed)
    if process.returncode != 0:
        tail = "\n".join(said.splitlines()[-15:])
        raise CheckFailedError(
            f"nbval could not run {path.stem}:\n{tail}", "mend what the lines above say"
        )


def _nbval(path: Path) -> list[str]:
    """Its own pytest: not our plugins, settings or conftest, so that a lab stands alone."""
    return [
        *(sys.executable, "-m", "pytest", "-p", "nbval.plugin"),
        *("-p", "handbook.notebooks.nbval_report", "-p", "no:cacheprovider"),
        *("-c", os.devnull, f"--rootdir={path.parent}", "--noconftest", "--color=no", "-x", "-q"),
        *("--nbval", "--nbval-current-env", f"--nbval-cell-timeout={kernels.CELL_TIMEOUT}"),
        str(path),
    ]


def _mismatch(lab: str, cell: dict[str, Any]) -> CheckFailedError:
    where = f"{lab}#{cell['cell']}"
    remedy = f"mend the lab; if the new output is right, `handbook labs regenerate {lab}`"
    if "differ" in cell["message"] and cell["expected"] != cell["got"]:
        return CheckFailedError(
            f"{where} gave another output.\n"
            f"  expected:\n{_indent(cell['expected'])}\n  got:\n{_indent(cell['got'])}",
            remedy,
        )
    details = _indent(_tail(cell["traceback"])) if cell["traceback"] else ""
    return CheckFailedError(f"{where}: {cell['message']}\n{details}".rstrip(), remedy)


def execute(path: Path, progress: Progress = silent) -> Execution:
    """Run all cells in a new kernel and collect outputs and recordings; writes nothing.

    Raises:
        CheckFailedError: a cell raised or took too long; names the cell.
    """
    stored = path.read_text(encoding="utf-8")
    return asyncio.run(_execute(path, stored, progress))


async def _execute(path: Path, stored: str, progress: Progress) -> Execution:
    import nbformat
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    notebook = nbformat.reads(stored, as_version=4)  # type: ignore[no-untyped-call]
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    begun = time.monotonic()
    with kernels.scratch() as folder:
        settings = kernels.over_sockets(folder / "runtime")
        client = NotebookClient(
            notebook,
            km=AsyncKernelManager(kernel_spec_manager=kernels.ThisPython(), **settings),
            timeout=kernels.CELL_TIMEOUT,
            record_timing=False,
            resources={"metadata": {"path": str(path.parent)}},
            allow_errors=True,  # the first error is found below, with the cell's name
        )
        running = None
        async with client.async_setup_kernel(cleanup_kc=True, env=kernels.environment(folder)):
            try:
                for index, cell in enumerate(notebook.cells):
                    running = cell
                    await client.async_execute_cell(cell, index)
                    if cell.cell_type == "code":
                        _refuse_error(path.stem, cell)
                        cell.metadata[canonical.EXECUTED] = canonical.digest(cell.source)
                        progress(code.index(cell) + 1)
            except (CellTimeoutError, DeadKernelError) as error:
                assert running is not None
                raise CheckFailedError(
                    f"{path.stem}#{running.id} did not end: {str(error).splitlines()[0]}",
                    f"a cell has {kernels.CELL_TIMEOUT} s; wait for a condition with a deadline",
                ) from error
        made = recordings(folder / "data", path.stem)
    return Execution(json.loads(json.dumps(notebook)), time.monotonic() - begun, made)


def _refuse_error(lab: str, cell: Any) -> None:
    if "raises-exception" in cell.metadata.get("tags", ()):
        return
    for output in cell.outputs:
        if output.output_type == "error":
            trace = ANSI.sub("", "\n".join(output.traceback))
            raise CheckFailedError(
                f"{lab}#{cell.id} raised:\n{_indent(_tail(trace))}",
                "mend the cell or what it calls; the file was left as it was",
            )


def recordings(data: Path, lab: str) -> dict[str, str]:
    """What a lab recorded below `data`: `kind/lab/name.json` to its text."""
    files = sorted(data.glob(f"*/{lab}/*.json"))
    return {file.relative_to(data).as_posix(): file.read_text(encoding="utf-8") for file in files}


def _tail(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-15:])


def _indent(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines()) or "    (nothing)"
