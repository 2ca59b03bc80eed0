"""What isolation costs: the same bookings by five ways that lose nothing, as ratios in one run.

    python benchmarks/isolation_price.py [--rounds 7] [--calls 60]

On the running stack of this checkout. Eight clients take seats, each call in a transaction of its
own by `transact`: one atomic statement at READ COMMITTED, a row lock before the read, a version
with retries, and the read-modify-write code at REPEATABLE READ and at SERIALIZABLE with retries.
Calm: each client has a course of its own, and nobody waits. Crowded: all want the same course.
Each round measures all ways one after the other; a ratio is the time of a way over the time of the
atomic statement in the same round, and the median of the rounds is reported. `runs` is how often a
call's transaction was run until it committed. Every run ends with an exact count, or nothing is
written. Prints the figures and writes them to benchmarks/results/isolation_price.json.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from psycopg import Connection, IsolationLevel

from handbook.lab import Workspace, versions
from handbook.stack import connect
from snippets import seats
from snippets.naive import read_modify_write
from snippets.retry import Policy
from snippets.transact import transact

RESULT = Path(__file__).parent / "results" / "isolation_price.json"
CLIENTS = 8
# Short pauses and no end: a call is counted when it has succeeded.
INSIST = Policy(attempts=10_000, first=0.001, longest=0.02, deadline=600)
RC, RR, SER = (
    IsolationLevel.READ_COMMITTED,
    IsolationLevel.REPEATABLE_READ,
    IsolationLevel.SERIALIZABLE,
)


@dataclass(frozen=True)
class Way:
    """How a seat is taken."""

    name: str
    take: Callable[[Connection, str], None]
    level: IsolationLevel


@dataclass(frozen=True)
class Run:
    """Seconds for all calls, and how often a call's transaction was run."""

    seconds: float
    runs: float


BASE = "atomic"
WAYS = (
    Way(BASE, seats.take, RC),
    Way("row_lock", seats.take_locked, RC),
    Way("version", seats.take_versioned, RC),
    Way("repeatable_read", read_modify_write.take, RR),
    Way("serializable", read_modify_write.take, SER),
)
NAMES = {
    BASE: "`UPDATE` 한 문장",
    "row_lock": "행 락을 잡고 읽기",
    "version": "버전 + 재시도",
    "repeatable_read": "REPEATABLE READ + 재시도",
    "serializable": "SERIALIZABLE + 재시도",
}


def measure(sessions: Sequence[Connection], way: Way, courses: Sequence[str], calls: int) -> Run:
    """All sessions call at once, each on its course."""
    sessions[0].execute("UPDATE course_seats SET taken = 0, version = 0")
    with ThreadPoolExecutor(len(sessions)) as pool:
        began = time.perf_counter()
        runs = sum(pool.map(lambda conn, to: insist(conn, to, way, calls), sessions, courses))
        seconds = time.perf_counter() - began
    ((taken,),) = sessions[0].execute("SELECT sum(taken)::int FROM course_seats")
    if taken != calls * len(sessions):
        raise SystemExit(f"{way.name}: {calls * len(sessions)} calls, {taken} seats are taken")
    return Run(seconds, runs / taken)


def insist(conn: Connection, course_id: str, way: Way, calls: int) -> int:
    """`calls` seats, however often each has to be tried; the transactions that it took."""
    runs = 0

    def work(session: Connection) -> None:
        nonlocal runs
        runs += 1
        way.take(session, course_id)

    for _ in range(calls):
        transact(conn, work, level=way.level, policy=INSIST)
    return runs


def compare(rounds: Sequence[dict[str, Run]]) -> dict[str, dict[str, float]]:
    """For each way the medians over the rounds: its time over the atomic statement's, and runs."""
    return {
        way.name: {
            "ratio": round(median(one[way.name].seconds / one[BASE].seconds for one in rounds), 2),
            "runs": round(median(one[way.name].runs for one in rounds), 2),
        }
        for way in WAYS
    }


def quoted(report: dict[str, Any]) -> str:
    """What the page says of a report: time as a multiple, runs for each success, and of when."""
    head = ["| 방법 | 한산할 때 | 몰릴 때 | 몰릴 때 실행 횟수 |", "| --- | ---: | ---: | ---: |"]
    calm, crowded = report["calm"], report["crowded"]
    rows = [
        f"| {name} | {calm[way]['ratio']:.1f}배 | {crowded[way]['ratio']:.1f}배"
        f" | {crowded[way]['runs']:.1f}번 |"
        for way, name in NAMES.items()
    ]
    when = (
        f"`benchmarks/isolation_price.py`로 {report['date']}에 PostgreSQL {report['postgres']}에서"
    )
    when += f" {report['rounds']}번 잰 중앙값입니다."
    return "\n".join([*head, *rows, "", when])


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=60)
    asked = parser.parse_args()
    stack, load = connect(), round(os.getloadavg()[0], 1)
    own, one = [f"own-{number}" for number in range(CLIENTS)], ["shared"] * CLIENTS
    found: dict[str, list[dict[str, Run]]] = {"calm": [], "crowded": []}
    with contextlib.closing(Workspace.create(stack, "price")) as workspace, ExitStack() as closing:
        sessions = [closing.enter_context(workspace.connect()) for _ in range(CLIENTS)]
        sessions[0].execute(seats.CREATE_TABLE)
        for course_id in (*own, "shared"):
            seats.open_course(sessions[0], course_id, 1_000_000)
        for number in range(asked.rounds + 1):
            turn = number % len(WAYS)  # nobody is always first
            for name, courses in {"calm": own, "crowded": one}.items():
                ways = WAYS[turn:] + WAYS[:turn]
                runs = {w.name: measure(sessions, w, courses, asked.calls) for w in ways}
                found[name] += [runs] if number else []  # the first round warms up
    report = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "load_before": load,
        "python": platform.python_version(),
        "postgres": versions.postgres(stack),
        "clients": CLIENTS,
        "calls": asked.calls,
        "rounds": asked.rounds,
        **{name: compare(rounds) for name, rounds in found.items()},
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(report, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=1, sort_keys=True))
    print(quoted(report))


if __name__ == "__main__":
    main()
