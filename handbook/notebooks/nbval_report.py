"""A pytest plugin beside nbval: one JSON line a cell, and kernels that cannot clash.

Loaded by `handbook.notebooks.runner` only; the lines go to the file number in `HANDBOOK_REPORT`.
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbval.kernel  # type: ignore[import-untyped]
import pytest

from handbook.notebooks import kernels
from handbook.notebooks.gate import shown_text

ANSI = re.compile(r"\x1b\[[0-9;]*m")


def pytest_configure() -> None:
    """Let nbval's kernels talk through files."""
    settings = kernels.over_sockets(Path(os.environ["JUPYTER_RUNTIME_DIR"]))
    nbval.kernel.KernelManager = functools.partial(nbval.kernel.KernelManager, **settings)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: Any, call: Any) -> Iterator[None]:
    """Tell the runner of every cell that ran."""
    yield
    if call.when == "call" or call.excinfo is not None:
        error = call.excinfo.value if call.excinfo else None
        tell(
            {
                "cell": item.cell.get("id", item.name),
                "passed": error is None,
                "message": "" if error is None else str(error),
                "traceback": ANSI.sub("", str(getattr(error, "inner_traceback", "") or "")),
                "expected": shown_text(item.cell.outputs),
                "got": shown_text(item.test_outputs or []),
            }
        )


def tell(line: dict[str, Any]) -> None:
    """Send one line to the runner."""
    os.write(int(os.environ["HANDBOOK_REPORT"]), json.dumps(line).encode() + b"\n")
