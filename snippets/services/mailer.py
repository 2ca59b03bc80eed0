"""The mailer (안내 메일): sends what cannot be taken back, and only what was committed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from snippets import inbox


@dataclass(frozen=True)
class Mail:
    """What the provider is asked to send; of two with one key it sends one."""

    key: str
    to: str
    text: str


Send = Callable[[Mail], Awaitable[None]]
"""The provider. Nothing brings a mail back."""


def confirmed(key: UUID, admission: Mapping[str, Any]) -> Mail:
    """The mail to a member who was admitted."""
    return Mail(str(key), admission["member"], f"입과 확정: {admission['course_id']}")


# --8<-- [start:handle]
async def on_admitted(
    conn: AsyncConnection, event_id: UUID, admission: Mapping[str, Any], send: Send
) -> bool:
    """Handle one delivery; False when it is a repeat.

    Who dies between sending and committing sends again: with the same key, for the provider.
    """
    async with conn.transaction():
        if not await inbox.first_time(conn, "mailer", event_id):
            return False
        await send(confirmed(event_id, admission))
        return True
        # --8<-- [end:handle]
