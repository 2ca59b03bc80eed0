"""The surroundings in which a lab runs for the gates: this interpreter and nobody's settings."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ipykernel.kernelspec import RESOURCES, get_kernel_dict
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager

CELL_TIMEOUT = 30


class ThisPython(KernelSpecManager):
    """Every kernel is the running interpreter, whatever the machine has installed."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:  # noqa: ARG002
        """The one kernel."""
        return KernelSpec(resource_dir=RESOURCES, **get_kernel_dict())


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder for one run of a notebook: profile, connection files, recordings."""
    with tempfile.TemporaryDirectory(prefix="lab-") as folder:
        yield Path(folder)


def environment(folder: Path) -> dict[str, str]:
    """What a kernel of that run has in its environment."""
    return {
        **os.environ,
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "HANDBOOK_DATA_HOME": str(folder / "data"),
        "PYTHONWARNINGS": "default",
    }


def over_sockets(folder: Path) -> dict[str, Any]:
    """A kernel manager's settings: files instead of TCP ports, which two runs could both choose."""
    folder.mkdir(parents=True, exist_ok=True)
    return {"transport": "ipc", "connection_file": str(folder / "kernel.json")}
