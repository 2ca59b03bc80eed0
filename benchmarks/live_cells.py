"""What it costs to run cells in the page.

    python benchmarks/live_cells.py [--rounds 3]

Each round starts a server in a new process, for a site of one page, and drives it in Chromium: from
the start of the process to its first answer, the first code in a kernel that is not there yet, and
code in one that is. Then the memory of server and kernel, and the size of what the page loads.
Prints the medians and writes them to benchmarks/results/live_cells.json.
"""

from __future__ import annotations

import argparse
import datetime
import gzip
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from playwright.sync_api import Browser, sync_playwright

from handbook.live.site import CLIENT

RESULT = Path(__file__).parent / "results" / "live_cells.json"
BUDGET = {"ready_s": 2.0, "first_s": 2.5, "later_s": 0.3, "client_kib": 12.0, "memory_mib": 200.0}
SERVER = """
import socket, sys, pathlib
from handbook.live.server import LiveServer
from handbook.site.project import Project
sock = socket.socket()
sock.bind(("127.0.0.1", 0))
sock.listen()
live = LiveServer(Project(pathlib.Path(sys.argv[1])), sock)
live.start()
live.wait()
print(live.url, flush=True)
sys.stdin.read()
live.close()
"""
PAGE = "<!doctype html><html lang='ko'><head><meta charset='utf-8'></head><body></body></html>"
FIRST = """async () => {
  const { Kernel } = await import("/_live/client/kernel.js");
  window.kernel = new Kernel("01-benchmark", () => {});
  const begun = performance.now();
  await window.kernel.execute("6 * 7", () => {});
  return (performance.now() - begun) / 1000;
}"""
LATER = """async () => {
  const begun = performance.now();
  await window.kernel.execute("6 * 7", () => {});
  return (performance.now() - begun) / 1000;
}"""
# Loaded on the first edit only.
EDITOR = {"codemirror.js", "editor.js"}
ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-gpu"]


def one_round(browser: Browser, root: Path) -> dict[str, float]:
    """One server, one kernel."""
    begun = time.perf_counter()
    command = [sys.executable, "-c", SERVER, str(root)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        found = {"ready_s": time.perf_counter() - begun}
        page = browser.new_page()
        page.goto(url)
        found["first_s"] = float(page.evaluate(FIRST))
        found["later_s"] = statistics.median(float(page.evaluate(LATER)) for _ in range(20))
        found["memory_mib"] = memory(process.pid)
        page.close()
        process.communicate()
    return found


def memory(pid: int) -> float:
    """Server and kernel, pages that they share counted once."""
    server = psutil.Process(pid)
    family = [server, *server.children(recursive=True)]
    return float(sum(one.memory_full_info().pss for one in family)) / 2**20


def client_kib() -> float:
    """What a page loads before anything is edited, as gzip packs it."""
    files = [path for path in CLIENT.iterdir() if path.name not in EDITOR]
    return sum(len(gzip.compress(path.read_bytes(), 9)) for path in files) / 1024


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        for name in ("site", "notebooks"):
            (Path(folder) / name).mkdir()
        (Path(folder) / "site/index.html").write_text(PAGE, "utf-8")
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        measured = [one_round(browser, Path(folder)) for _ in range(rounds)]
        browser.close()
    medians = {key: statistics.median(one[key] for one in measured) for key in measured[0]}
    medians["client_kib"] = client_kib()
    result = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "rounds": rounds,
        "budget": BUDGET,
        "measured": {key: round(value, 3) for key, value in medians.items()},
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    for key, limit in BUDGET.items():
        print(f"{key:<12} {medians[key]:8.3f}  budget {limit:g}")


if __name__ == "__main__":
    main()
