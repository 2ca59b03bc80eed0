"""How long the embedded stack takes to start, against the bare broker on the same machine.

    python benchmarks/stack_start.py [--rounds 5]

Jars and the JVM's start-up cache are there before the first measurement. Each round measures, one
after the other: nothing formatted, formatted, a second `up`, and the bare broker: the same `java`
command on formatted storage, from its start to its first complete metadata answer. Prints the
medians and writes them to benchmarks/results/stack_start.json.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from handbook.stack import embedded, jars, kafka, postgres, processes, settings, state, training
from handbook.stack.status import servers

RESULT = Path(__file__).parent / "results" / "stack_start.json"
BUDGET = {"cold_s": 2.0, "warm_s": 1.0, "warm_to_broker": 1.2, "again_s": 0.1, "memory_mib": 300}


def seconds(work: Callable[[], object]) -> float:
    """How long `work` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def bare_broker(place: Path) -> float:
    """Seconds from starting `java` on formatted storage to its first complete metadata answer."""
    known = state.load(place)
    assert known is not None
    node = known.nodes[0]
    folder = kafka.folder(place, node)

    def start() -> None:
        command = jars.java(kafka.MAIN, "server.properties", heap=settings.KAFKA_HEAP)
        processes.spawn(command, folder=folder, log=kafka.log(place, node))
        while kafka.brokers(node.port) != {node.id}:
            time.sleep(processes.POLL)

    return seconds(start)


def one_round() -> dict[str, float]:
    """One measurement of each kind, on a new stack."""
    found = {"cold_s": seconds(embedded.up)}
    embedded.down()
    found["warm_s"] = seconds(embedded.up)
    found["again_s"] = seconds(embedded.up)
    place = embedded.home()
    known = state.load(place)
    assert known is not None
    found["memory_mib"] = sum(s.memory_mib for s in servers(place, known, full=True))
    found["down_s"] = seconds(embedded.down)
    found["broker_s"] = bare_broker(place)
    embedded.wipe()
    return found


def prepare() -> None:
    """Jars and start-up cache, which a reader has after the first minute."""
    jars.fetch(print)
    training.train()
    while not jars.aot_cache().exists():  # somebody else trains
        time.sleep(0.2)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    prepare()
    load = round(os.getloadavg()[0], 1)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        os.environ["HANDBOOK_STACK_HOME"] = f"{folder}/stack"
        runs = [one_round() for _ in range(rounds)]
    medians = {name: round(statistics.median(r[name] for r in runs), 3) for name in runs[0]}
    ratios = [run["warm_s"] / run["broker_s"] for run in runs]
    medians["warm_to_broker"] = round(statistics.median(ratios), 2)
    report = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "load_before": load,  # seconds mean what they say only when this is well below 1
        "python": platform.python_version(),
        "postgres": postgres.version(),
        "kafka": settings.KAFKA_VERSION,
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
