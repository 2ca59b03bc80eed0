"""Breaks what it called: the version is checked when the other services have done their part.

Whoever loses is told so and rolls back; the manager and the board of a course that does not exist
stay behind, one of each for each conflict.

Proved by:
    E11 tests/snippets/test_creating.py::test_conflict_leaves_an_orphan_for_each_loser
"""

from __future__ import annotations

from dataclasses import replace

from snippets.services import catalogue
from snippets.services.catalogue import Course
from snippets.services.means import Means


# --8<-- [start:create]
async def version_check(means: Means, course: Course) -> Course:
    """Read the version, call, write if the version is still the same; raises `Outdated`."""
    new = replace(course, style="version-check", state="open")
    async with means.pool.connection() as conn:
        seen = await catalogue.term_version(conn, course.term)
        await means.member.register(course.id, course.manager)
        await means.board.register(course.id, course.title)
        await catalogue.raise_version(conn, course.term, seen)
        await catalogue.add(conn, new)
    return new
    # --8<-- [end:create]
