"""Named points in a pattern where a lab or a test may watch, delay or kill the process.

A pattern calls `at("relay.after_send")`; by default nothing happens.
"""

from __future__ import annotations

from collections.abc import Callable

Checkpoint = Callable[[str], None]


def nothing(name: str) -> None:
    """The default: the point is passed."""
