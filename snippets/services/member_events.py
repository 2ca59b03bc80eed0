"""The member service (멤버) as a process that takes the course's events."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from snippets.checkpoint import Checkpoint, nothing
from snippets.services.participant_events import MEMBER, run


async def main(
    dsn: str,
    kafka: Mapping[str, Any],
    topics: Mapping[str, str],
    *,
    instance: str = "1",
    stop: asyncio.Event | None = None,
    at: Checkpoint = nothing,
) -> None:
    """The process; see `participant_events.run`."""
    await run(MEMBER, dsn, kafka, topics, instance=instance, stop=stop, at=at)
