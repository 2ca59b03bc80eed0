"""Breaks off what it need not have begun: requests are checked after the work, and compensated.

Nothing is wrong in the end. But each invalid request costs a compensation, which may fail, and
until then others are refused seats that nobody will have.
The right way: `snippets.compensation.run`.

Proved by:
    E19 tests/snippets/test_compensation.py::test_invalid_requests_are_undone_when_checks_come_last
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from snippets.compensation import Work
from snippets.saga import Coordinator, Outcome, Step


async def nothing_to_undo(_: Mapping[str, Any]) -> None:
    """A check has written nothing."""


# --8<-- [start:run]
async def run(
    coordinator: Coordinator, work: Work, saga_id: UUID, data: Mapping[str, Any]
) -> Outcome:
    """The checks are the last steps before the pivot."""
    checks = [Step(f"check-{n}", one, nothing_to_undo) for n, one in enumerate(work.checks)]
    before = [step for step in work.saga.steps if step.kind == "compensatable"]
    after = [step for step in work.saga.steps if step.kind != "compensatable"]
    late = replace(work.saga, steps=(*before, *checks, *after))
    return await coordinator.run(late, saga_id, data)
    # --8<-- [end:run]
