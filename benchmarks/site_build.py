"""How long the site takes to build and how heavy its pages are, now and with all labs there.

Usage: python benchmarks/site_build.py. Writes benchmarks/results/site_build.json.

`now` is this checkout; `full` has copies of its labs up to the eighteen that are planned. A cold
build starts without any cache; an unchanged one follows it; then one page changes while a process
serves the site (`handbook serve --watch`), the median of three. All are given as processor and wall
seconds: the first counts other work on the machine less, the second is what a reader waits.
"""

from __future__ import annotations

import gzip
import json
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from handbook import paths

PLANNED_LABS = 18
RESULT = Path(__file__).parent / "results" / "site_build.json"
FOLDERS = ("docs", "theme", "snippets", "notebooks", "tests")
FILES = ("mkdocs.yml", "package.json", "package-lock.json")
MEASURE = """
import json, sys, time
from pathlib import Path
from handbook.site import build
from handbook.site.project import Project
build.build(Project(Path(sys.argv[1])))
print(json.dumps({"cpu": time.process_time(), "wall": time.perf_counter() - float(sys.argv[2])}))
"""
SERVED = """
import json, sys, time
from pathlib import Path
from handbook.site import build
from handbook.site.project import Project
root = Path(sys.argv[1])
page = root / "docs/events/outbox.md"
took = []
for turn in range(4):
    page.write_text(page.read_text("utf-8") + f"\\n<!-- {turn} -->\\n", "utf-8")
    begun = time.process_time(), time.perf_counter()
    build.build(Project(root))
    took.append((time.process_time() - begun[0], time.perf_counter() - begun[1]))
cpu, wall = sorted(took[1:])[1]
print(json.dumps({"cpu": cpu, "wall": wall}))
"""


def checkout(folder: Path, labs: int) -> Path:
    """A copy of the site's sources with at least this many labs."""
    for name in FOLDERS:
        shutil.copytree(paths.ROOT / name, folder / name)
    for name in FILES:
        shutil.copy(paths.ROOT / name, folder)
    first = next(iter(sorted((folder / "notebooks").glob("*.ipynb"))))
    text = first.read_text("utf-8")
    for number in range(60, 60 + labs - len(list((folder / "notebooks").glob("*.ipynb")))):
        name = f"{number}-copy"
        copy = text.replace(first.stem, name).replace('"# ', f'"# {number} ', 1)
        (folder / f"notebooks/{name}.ipynb").write_text(copy, "utf-8")
    return folder


def measure(folder: Path, program: str = MEASURE) -> dict[str, float]:
    """Seconds of one build in a process of its own, imports included; or what `SERVED` measures."""
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder), str(time.perf_counter())],
        check=True,
        capture_output=True,
        text=True,
    )
    return {name: round(value, 2) for name, value in json.loads(done.stdout).items()}


def weights(site: Path) -> dict[str, int]:
    """Bytes of each page with gzip."""
    return {
        page.relative_to(site).as_posix(): len(gzip.compress(page.read_bytes()))
        for page in sorted(site.rglob("*.html"))
    }


def run(labs: int) -> dict[str, Any]:
    """Cold and unchanged builds of one size."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = checkout(Path(temporary) / "checkout", labs)
        cold, unchanged = measure(folder), measure(folder)
        pages = weights(folder / "site")
        served = measure(folder, SERVED)
    return {
        "labs": labs,
        "pages": len(pages),
        "cold": cold,
        "unchanged": unchanged,
        "one_page_while_serving": served,
        "heaviest_page_gzip": max(pages.values()),
        "page_gzip": pages if labs < PLANNED_LABS else {},
    }


def main() -> None:
    """Measure, print and write the result."""
    labs = len(list(paths.NOTEBOOKS.glob("*.ipynb")))
    result: dict[str, Any] = {
        "date": date.today().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {
            name: version(name) for name in ("mkdocs", "mkdocs-material", "mkdocs-jupyter")
        },
        "now": run(labs),
        "full": run(PLANNED_LABS),
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    for name in ("now", "full"):
        facts = result[name]
        print(name, {key: facts[key] for key in facts if key != "page_gzip"})


if __name__ == "__main__":
    main()
