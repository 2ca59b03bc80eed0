"""Breaks the promise that a rollback undoes everything: it does not reach the other service.

The call is made inside the transaction, and an error rolls it back. That undoes what is here; when
only the reply was lost, the other service has kept its part, and nobody knows.

Proved by:
    E16 tests/snippets/test_creating.py::test_rollback_leaves_an_orphan_for_each_lost_reply
"""

from __future__ import annotations

from dataclasses import replace

from snippets.services import catalogue
from snippets.services.catalogue import Course
from snippets.services.means import Means


# --8<-- [start:create]
async def long_transaction(means: Means, course: Course) -> Course:
    """One transaction around both calls; what fails is rolled back."""
    new = replace(course, style="long-transaction", state="open")
    async with means.pool.connection() as conn:
        await catalogue.lock_term(conn, course.term)
        await catalogue.add(conn, new)
        await means.member.register(course.id, course.manager)
        await means.board.register(course.id, course.title)
    return new
    # --8<-- [end:create]
