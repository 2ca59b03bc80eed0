"""10-failing-compensation: what fails is called again, and what fails too often is written down."""

from collections.abc import Awaitable, Callable

from snippets.errors import CallError
from snippets.retry import Policy, retrying


async def undo(
    cancel: Callable[[str], Awaitable[None]], course_id: str, left_to_people: list[str]
) -> None:
    """Cancel within three calls, or leave the course to people."""
    try:
        await retrying(Policy(attempts=3, first=0.01))(cancel, course_id)
    except CallError:
        left_to_people.append(course_id)
