"""JupyterLab on one lab, for this reader only."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from typing import NoReturn


def serve(path: Path, *, browser: bool) -> NoReturn:
    """Become JupyterLab: loopback only, a new token, opened on `path`; Ctrl-C ends it."""
    # In the environment: other users of the machine can read arguments.
    os.environ["JUPYTER_TOKEN"] = secrets.token_hex(24)
    arguments = [
        *(sys.executable, "-m", "jupyterlab", path.name, "--allow-root", "-y"),
        "--ServerApp.ip=127.0.0.1",
        "--ServerApp.open_browser=" + str(browser),
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    os.chdir(path.parent)
    sys.stdout.flush()
    os.execv(sys.executable, arguments)  # noqa: S606 - so that Ctrl-C goes to it alone
