"""A campus (캠퍼스): the free seats (정원) of its courses, in a database of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from psycopg import AsyncConnection

from snippets import commutative
from snippets.commutative import Change, NotEnough
from snippets.compensation import undo

# --8<-- [start:table]
CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS seats (
    course_id text PRIMARY KEY,
    free      int NOT NULL CHECK (free >= 0),
    version   int NOT NULL DEFAULT 0   -- grows with every change of the row
);
"""
# --8<-- [end:table]
CREATE_TABLE += commutative.CREATE_TABLE
OFFER = "INSERT INTO seats (course_id, free) VALUES (%s, %s)"
READ = "SELECT course_id, free, version FROM seats WHERE course_id = %s"


@dataclass(frozen=True)
class Seats:
    """The free seats of a course at one campus, as they were read."""

    course_id: str
    free: int
    version: int


async def offer(conn: AsyncConnection, course_id: str, free: int) -> None:
    """A course with free seats, in the caller's transaction."""
    await conn.execute(OFFER, (course_id, free))


async def read(conn: AsyncConnection, course_id: str) -> Seats:
    """The seats as they are, whoever is at work on them; raises `NotEnough`."""
    row = await (await conn.execute(READ, (course_id,))).fetchone()
    if row is None:
        raise NotEnough(f"there is no course {course_id} here")
    return Seats(*row)


def taking(data: Mapping[str, Any]) -> Change:
    """What a move takes from its source."""
    return Change(uuid5(UUID(data["id"]), "take"), data["course_id"], -data["seats"])


def giving(data: Mapping[str, Any]) -> Change:
    """What a move gives to its target."""
    return Change(uuid5(UUID(data["id"]), "give"), data["course_id"], data["seats"])


# --8<-- [start:campus]
@dataclass(frozen=True)
class Campus:
    """What a campus does in a move of seats, a transaction each; all may be repeated.

    `data` of a move: `id`, `course_id`, `seats`. `conn`: its database, in autocommit mode.
    """

    conn: AsyncConnection

    async def take(self, data: Mapping[str, Any]) -> None:
        """Take the seats away; raises `NotEnough`."""
        async with self.conn.transaction():
            await commutative.apply(self.conn, taking(data))

    async def give_back(self, data: Mapping[str, Any]) -> None:
        """Undo `take`."""
        async with self.conn.transaction():
            await undo(self.conn, taking(data))

    async def give(self, data: Mapping[str, Any]) -> None:
        """Add the seats."""
        async with self.conn.transaction():
            await commutative.apply(self.conn, giving(data))

    async def take_back(self, data: Mapping[str, Any]) -> None:
        """Undo `give`; raises `NotEnough` when the seats are gone."""
        async with self.conn.transaction():
            await undo(self.conn, giving(data))
            # --8<-- [end:campus]
