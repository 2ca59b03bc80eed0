"""What the labs runtime costs beside the work of a lab.

    python benchmarks/labs_time.py [--rounds 5]

On the running stack of this checkout. Each round measures, one after the other: opening and
closing a lab, its first database and topic, the first child and the next one, against a new
interpreter that imports the same clients; every lab in notebooks/: one run, and all gates, which
run it twice; and `handbook labs check`, which does that for all labs, two at a time.
Prints the medians and writes them to benchmarks/results/labs_time.json.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import functools
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from handbook.lab import Lab, process, versions
from handbook.notebooks import runner, store, verify
from handbook.stack import Stack, connect
from snippets import outbox

RESULT = Path(__file__).parent / "results" / "labs_time.json"
BUDGET = {"open_s": 0.5, "child_to_interpreter": 0.5, "all_labs_s": 90.0}
TARGET = "snippets.relay:main"


def seconds(work: Callable[[], object]) -> float:
    """How long `work` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def one_child(lab: Lab) -> None:
    """Start a relay, wait until it leads, kill it."""
    child = lab.start(TARGET, kwargs={"dsn": lab.dsn, "kafka": lab.kafka})
    child.wait_for("relay.leads")
    child.kill()


def new_interpreter() -> None:
    """What a child costs without a warm interpreter, before it has connected anywhere."""
    subprocess.run([sys.executable, "-c", "import psycopg, aiokafka, snippets.relay"], check=True)


def runtime() -> dict[str, float]:
    """One measurement of each kind, with the interpreter of the children gone before."""
    found = {}
    began = time.perf_counter()
    lab = Lab("benchmark")
    found["open_s"] = time.perf_counter() - began
    with contextlib.closing(lab):
        found["database_s"] = seconds(lambda: lab.execute("SELECT 1"))
        found["topic_s"] = seconds(lambda: lab.topic("events"))
        found["records_s"] = seconds(lambda: lab.records("events"))
        lab.execute(outbox.CREATE_TABLE)
        process.started.cache_clear()
        found["first_child_s"] = seconds(lambda: one_child(lab))
        found["child_s"] = seconds(lambda: one_child(lab))
        began = time.perf_counter()
    found["close_s"] = time.perf_counter() - began
    found["interpreter_s"] = seconds(new_interpreter)
    found["child_to_interpreter"] = found["child_s"] / found["interpreter_s"]
    return found


def gates(stack: Stack) -> dict[str, float]:
    """One run of each lab, its gates, and all gates as the command runs them."""
    found: dict[str, float] = {}
    for lab in store.names():
        run = seconds(functools.partial(runner.execute, store.find(lab)))
        checked = seconds(functools.partial(verify.check, lab, stack))
        found |= {f"{lab}_run_s": run, f"{lab}_check_to_two_runs": checked / (2 * run)}
    found["all_labs_s"] = seconds(check_all)
    return found


def check_all() -> None:
    """What a reader types."""
    handbook = str(Path(sys.executable).with_name("handbook"))
    subprocess.run(
        [handbook, "labs", "check"],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    stack = connect()
    runs = [runtime() | gates(stack) for _ in range(rounds)]
    medians = {name: round(statistics.median(r[name] for r in runs), 3) for name in runs[0]}
    report = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "load_at_end": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "postgres": versions.postgres(stack),
        "kafka": versions.kafka(stack),
        "rounds": rounds,
        "median": medians,
        "budget": BUDGET,
        "within": {name: medians[name] <= limit for name, limit in BUDGET.items()},
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(report, indent=1, sort_keys=True) + "\n")
    print(json.dumps(report, indent=1, sort_keys=True))


if __name__ == "__main__":
    main()
