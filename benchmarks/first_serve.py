"""How long `make serve` takes to its first page, in a fresh clone and again.

Usage: python benchmarks/first_serve.py. Writes benchmarks/results/first_serve.json.

The clone has no environment, no stack and no site; package and jar caches are those of this user,
warm. `first` counts from the command to the first page answered, `again` the same with everything
stopped but kept.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from datetime import date
from pathlib import Path

from handbook import paths

RESULT = Path(__file__).parent / "results" / "first_serve.json"
LIMIT = 300.0
PAGE = "events/outbox/"


def serve(clone: Path, port: int) -> float:
    """Seconds from `make serve` to the page; ends the server and the stack again."""
    clean = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "MAKEFLAGS")}
    began = time.perf_counter()
    process = subprocess.Popen(
        ["make", "serve", f"PORT={port}"],
        cwd=clone,
        env=clean,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while not answers(f"http://127.0.0.1:{port}/{PAGE}"):
            if process.poll() is not None or time.perf_counter() - began > LIMIT:
                raise SystemExit("make serve did not serve: run it by hand in a fresh clone")
            time.sleep(0.05)
        return time.perf_counter() - began
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait()
        subprocess.run([clone / ".venv/bin/handbook", "down"], cwd=clone, check=False)


def answers(url: str) -> bool:
    """True when the page is there."""
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:  # noqa: S310 - loopback
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def main() -> None:
    """Measure and write."""
    # Beside the checkout and not in /tmp: who may enter the one may enter the other.
    with tempfile.TemporaryDirectory(dir=paths.ROOT.parent) as folder:
        Path(folder).chmod(0o755)
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "-q", paths.ROOT, clone], check=True)
        seconds = {"first": round(serve(clone, 8765), 1), "again": round(serve(clone, 8765), 1)}
        shutil.rmtree(clone / ".stack", ignore_errors=True)
    result = {
        "date": date.today().isoformat(),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "seconds": seconds,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
