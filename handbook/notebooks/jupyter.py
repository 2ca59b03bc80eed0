"""JupyterLab on one lab, for this reader only."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

from handbook import paths


def serve(path: Path, *, browser: bool) -> NoReturn:
    """Become JupyterLab: loopback only, a new token, opened on `path`; Ctrl-C ends it.

    It prints its address. Settings of the reader's other JupyterLabs do not count: one of them may
    listen to the world or ask for no token.
    """
    arguments = [
        *(sys.executable, "-m", "jupyterlab", "-y", "--allow-root"),
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.open_browser={browser}",
        f"--LabApp.default_url=/lab/tree/{path.name}",
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--Application.log_level=WARN",
    ]
    os.environ.pop("JUPYTER_TOKEN", None)  # without it a new one is made
    os.environ["JUPYTER_CONFIG_DIR"] = str(paths.stack_home() / "jupyter")
    os.chdir(path.parent)
    sys.stdout.flush()
    os.execv(sys.executable, arguments)  # noqa: S606 - so that Ctrl-C goes to it alone
