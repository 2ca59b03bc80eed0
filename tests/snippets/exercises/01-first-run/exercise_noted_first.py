"""01-first-run: a call is noted before it leaves, since its reply may not come."""

from collections.abc import Mapping

from snippets.errors import CallError
from snippets.services.gateways import Participant


async def register_both(member: Participant, board: Participant, course: Mapping[str, str]) -> None:
    """Both services have the course, or neither, whichever reply is lost."""
    noted = []
    try:
        noted.append(member)
        await member.register(course["id"], course["manager"])
        noted.append(board)
        await board.register(course["id"], course["title"])
    except CallError:
        for participant in noted:
            await participant.cancel(course["id"])
