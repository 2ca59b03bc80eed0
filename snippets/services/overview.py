"""Courses with the names that member (담당자) and board (게시판) keep for them, for a list page.

One request to each of the two, at the same time, however many courses there are. A service that
does not answer costs its names, not the page.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from snippets.cache import Cache
from snippets.calls import names
from snippets.errors import CallError
from snippets.services.catalogue import Course
from snippets.services.gateways import Participant
from snippets.services.problems import Id

Names = Mapping[str, str]


@dataclass(frozen=True)
class Overview:
    """One course; a name is None when none is kept, or when its service does not answer."""

    course: Course
    manager: str | None
    board: str | None


@dataclass(frozen=True)
class Overviews:
    """Many; `unavailable` are the services that did not answer."""

    rows: list[Overview]
    missing: list[Id]
    unavailable: list[str]


class Directory:
    """The names that one service keeps.

    Args:
        of: The service.
        ttl: Seconds for which a page of names may be served again.
    """

    def __init__(self, of: Participant, *, ttl: float) -> None:
        self._of = of
        self._pages: Cache[tuple[str, ...], Names] = Cache(self._ask, ttl=ttl)

    async def names(self, ids: Sequence[str], *, cached: bool) -> Names | None:
        """By course id; None when the service does not answer."""
        page = tuple(ids)
        try:
            return await (self._pages.get(page) if cached else self._ask(page))
        except CallError:
            return None

    async def _ask(self, page: tuple[str, ...]) -> Names:
        return (await names(self._of.http, self._of.url, page)).rows


# --8<-- [start:compose]
async def compose(
    ids: Sequence[str],
    found: Mapping[str, Course],
    member: Directory,
    board: Directory,
    *,
    cached: bool = False,
) -> Overviews:
    """The rows of `ids` in their order; `found` are the courses that exist."""
    there = [one for one in ids if one in found]
    asked = (member.names(there, cached=cached), board.names(there, cached=cached))
    managers, boards = await asyncio.gather(*asked)
    answers = {"member": managers, "board": boards}
    rows = [
        Overview(found[one], (managers or {}).get(one), (boards or {}).get(one)) for one in there
    ]
    missing = [one for one in ids if one not in found]
    return Overviews(rows, missing, [name for name, answer in answers.items() if answer is None])
    # --8<-- [end:compose]
