"""09-compensation: a step of the saga, with what undoes it."""

from collections.abc import Mapping
from typing import Any

from snippets.saga import Saga, Step
from snippets.services.gateways import Participant


def with_notice(create: Saga, board: Participant) -> Saga:
    """Creates a course with a board for notices, too, or takes all of it back."""

    async def open_notice(data: Mapping[str, Any]) -> None:
        await board.register(f"{data['id']}-notice", "공지")

    async def close_notice(data: Mapping[str, Any]) -> None:
        await board.cancel(f"{data['id']}-notice")

    *before, show = create.steps
    return Saga("with-notice", [*before, Step("notice", open_notice, close_notice), show])
