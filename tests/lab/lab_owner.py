"""Processes that own a lab or a server, for the tests that kill them."""

from __future__ import annotations

import threading
from collections.abc import Callable

from handbook.lab import Lab, OwnPostgres


def own_a_lab(*, at: Callable[[str], None]) -> None:
    """Open a lab with a topic and a child, tell of them, and wait to be killed."""
    lab = Lab("killed")
    lab.execute("CREATE TABLE t (n int)")
    lab.role("reader")
    lab.topic("events")
    ticking = lab.start("lab_targets:tick")
    ticking.wait_for("tick")
    paused = lab.start("lab_targets:tick")
    paused.wait_for("tick")
    paused.pause()
    at(f"{lab.run_id} {ticking.pid} {paused.pid}")
    threading.Event().wait()


def own_a_server(*, at: Callable[[str], None]) -> None:
    """Start a PostgreSQL, tell of it, and wait to be killed."""
    at(OwnPostgres().dsn)
    threading.Event().wait()
