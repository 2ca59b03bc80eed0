"""The README's table of figures, from the stored results.

Usage: python benchmarks/report.py. Rewrites the part of README.md between its two markers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from handbook import paths

RESULTS = Path(__file__).parent / "results"
README = paths.ROOT / "README.md"
BEGIN, END = "<!-- figures:begin -->\n", "<!-- figures:end -->"


def result(name: str) -> dict[str, Any]:
    """One stored result."""
    loaded: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


def table() -> str:
    """Markdown: what was measured, the value, the budget, the program."""
    stack, labs = result("stack_start"), result("labs_time")
    site, serve = result("site_build"), result("first_serve")
    start, run, live = stack["median"], labs["median"], result("live_cells")["measured"]
    rows = [
        ("first `make serve` in a fresh clone, caches warm, to the first page",
         f"{serve['seconds']['first']} s", "< 60 s", "first_serve"),
        ("later `make serve`", f"{serve['seconds']['again']} s", "< 6 s", "first_serve"),
        ("`handbook up`, nothing formatted", f"{start['cold_s']:.2f} s", "≤ 2 s", "stack_start"),
        ("`handbook up`, formatted", f"{start['warm_s']:.2f} s", "≤ 1 s", "stack_start"),
        ("the same ÷ the bare broker's start", f"{start['warm_to_broker']:.2f}", "≤ 1.2",
         "stack_start"),
        ("memory of the idle stack", f"{start['memory_mib']} MiB", "≤ 300 MiB", "stack_start"),
        ("all labs run and compared", f"{run['all_labs_s']:.1f} s", "< 90 s", "labs_time"),
        ("site build, cold", f"{site['now']['cold']['wall']:.1f} s", "< 10 s", "site_build"),
        ("one page changed while serving",
         f"{site['now']['one_page_while_serving']['wall']:.1f} s", "< 1.5 s", "site_build"),
        ("cells run in the page: server ready after the stack", f"{live['ready_s']:.1f} s",
         "≤ 2 s", "live_cells"),
        ("first run of a cell, kernel not started", f"{live['first_s']:.1f} s", "≤ 2.5 s",
         "live_cells"),
        ("a later run", f"{live['later_s']:.2f} s", "≤ 0.3 s", "live_cells"),
        ("its scripts without the editor, gzip", f"{live['client_kib']:.1f} KiB", "≤ 12 KiB",
         "live_cells"),
        ("server and one kernel", f"{live['memory_mib']:.0f} MiB", "≤ 200 MiB", "live_cells"),
        ("heaviest page, gzip", f"{site['now']['heaviest_page_gzip'] / 1000:.0f} KB", "≤ 100 KB",
         "site_build"),
    ]  # fmt: skip
    lines = ["| what | measured | budget | program |", "| --- | --- | --- | --- |"]
    lines += [f"| {what} | {got} | {most} | `benchmarks/{by}.py` |" for what, got, most, by in rows]
    where = (
        f"Medians of {stack['date']} on {stack['machine']}, Python {stack['python']},"
        f" PostgreSQL {stack['postgres']}, Kafka {stack['kafka']}."
        " The machine is shared: trust the ratio more than the seconds."
    )
    return "\n".join([*lines, "", where, ""])


def filled(readme: str) -> str:
    """The README with the present figures."""
    head, rest = readme.split(BEGIN)
    return head + BEGIN + table() + END + rest.split(END)[1]


if __name__ == "__main__":
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")
