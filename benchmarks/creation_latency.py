"""How long a course takes to be created by events over three services, and what they cost idle.

    python benchmarks/creation_latency.py [--courses 150]

On a stack of its own, with course, member and board as processes. Measures, for one course after
the other, from the commit of the request to the committed state `completed`, as a caller sees it
who asks every millisecond: two hops through Kafka and four transactions of others lie between.
First with a pause before each, so that everything is at rest, then without. Then, when nothing
happens, the share of a core that each process takes; and how long a process takes from its start
until it leads its outbox and has its partitions. Prints the figures and writes them to
benchmarks/results/creation_latency.json.

On a machine that others work on, `chrt -f 1 python …` keeps them out; the result says so.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil

from handbook.lab import Child, Workspace
from handbook.stack import embedded, jars, postgres, settings, training
from snippets.course_creation import CourseCreation
from snippets.outbox import doorbell
from snippets.services import course_events
from snippets.services.catalogue import Course

RESULT = Path(__file__).parent / "results" / "creation_latency.json"
BUDGET = {"p50_ms": 50.0, "idle_core_percent": 2.0, "ready_s": 1.0}
SERVICES = ("member", "board", "course")
WARM_UP, IDLE_S = 20, 5.0
REST_S = 0.15  # longer than a fetch waits, and than offsets wait for their commit


def start(workspace: Workspace) -> dict[str, Child]:
    """The three services."""
    topics = {name: workspace.topic(name) for name in (*SERVICES, "dead-letters")}
    children = {}
    for name in SERVICES:
        kwargs = {"dsn": workspace.database(name).dsn, "kafka": workspace.kafka, "topics": topics}
        target = f"snippets.services.{name}_events:main"
        children[name] = workspace.start(target, kwargs=kwargs)
    for child in children.values():
        ready(child)
    return children


def ready(child: Child) -> None:
    """Wait until it leads its outbox and has its partitions."""
    child.wait_for("relay.leads")
    child.wait_for("consumer.assigned.0")


def seconds_until_ready(child: Child) -> float:
    """Of a process that is stopped and started again."""
    child.stop()
    began = time.perf_counter()
    child.restart()
    ready(child)
    return time.perf_counter() - began


@contextlib.asynccontextmanager
async def caller(workspace: Workspace) -> AsyncIterator[Any]:
    """Creates one course and waits until it is completed; the milliseconds."""
    dsn, topic = workspace.database("course").dsn, workspace.topic("course")
    async with await workspace.database("course").aconnect() as conn, doorbell(dsn) as bell:
        committed = 0.0

        def at(point: str) -> None:
            nonlocal committed
            if point == "creation.committed":
                committed = time.perf_counter()

        creation = CourseCreation(topic, at=at)

        async def create(name: str) -> float:
            await course_events.create(conn, creation, Course(name, "이벤트 입문", "김담당"), bell)
            while (await creation.status(conn, name)).state != "completed":  # noqa: ASYNC110
                await asyncio.sleep(0.001)  # what is waited for is in another process
            return 1000 * (time.perf_counter() - committed)

        yield create


async def latencies(workspace: Workspace, courses: int, rest: float) -> list[float]:
    """Milliseconds of each creation, sorted, without those that warm up."""
    times = []
    async with caller(workspace) as create:
        for number in range(WARM_UP + courses):
            await asyncio.sleep(rest)
            times.append(await create(f"{rest:g}-{number}"))
    return sorted(times[WARM_UP:])


def idle_percent(child: Child) -> float:
    """How much of one core the process takes while nothing happens."""
    process = psutil.Process(child.pid)
    before, began = process.cpu_times(), time.perf_counter()
    time.sleep(IDLE_S)
    after, took = process.cpu_times(), time.perf_counter() - began
    return 100 * (after.user + after.system - before.user - before.system) / took


def measure(workspace: Workspace, courses: int) -> dict[str, float]:
    """All figures."""
    children = start(workspace)
    apart = asyncio.run(latencies(workspace, courses, REST_S))
    at_once = asyncio.run(latencies(workspace, courses, 0))
    return {
        "p50_ms": round(statistics.median(apart), 1),
        "p99_ms": round(apart[int(courses * 0.99)], 1),
        "without_rest_p50_ms": round(statistics.median(at_once), 1),
        "without_rest_p99_ms": round(at_once[int(courses * 0.99)], 1),
        "idle_core_percent": round(max(idle_percent(child) for child in children.values()), 2),
        "ready_s": round(max(seconds_until_ready(child) for child in children.values()), 2),
    }


def real_time() -> bool:
    """Whether this process goes before all that the machine does besides."""
    return sys.platform == "linux" and os.sched_getscheduler(0) == os.SCHED_FIFO


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--courses", type=int, default=150)
    courses = parser.parse_args().courses
    jars.fetch(print)
    training.train()
    load = round(os.getloadavg()[0], 1)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        os.environ["HANDBOOK_STACK_HOME"] = f"{folder}/stack"
        try:
            with contextlib.closing(Workspace.create(embedded.up(), "bench")) as workspace:
                found = measure(workspace, courses)
        finally:
            embedded.wipe()
    report = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "load_before": load,  # milliseconds mean what they say only when this is well below 1,
        "real_time": real_time(),  # or when the others had to wait
        "python": platform.python_version(),
        "postgres": postgres.version(),
        "kafka": settings.KAFKA_VERSION,
        "courses": courses,
        "found": found,
        "budget": BUDGET,
        "within": {name: found[name] <= limit for name, limit in BUDGET.items()},
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(report, indent=1, sort_keys=True) + "\n")
    print(json.dumps(report, indent=1, sort_keys=True))


if __name__ == "__main__":
    main()
