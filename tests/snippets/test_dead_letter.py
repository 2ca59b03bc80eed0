"""Poison: with and without a dead-letter topic, swallowed, replayed."""

from __future__ import annotations

import pytest
from consuming import consuming, courses, lag, name, send
from psycopg import AsyncConnection

from handbook.lab import Workspace, until
from snippets import dead_letter, inbox
from snippets.consumer import Delivery
from snippets.dead_letter import replay
from snippets.errors import Rejected, Retriable
from snippets.naive import swallow
from snippets.retry import Policy
from snippets.services import member
from snippets.services.member_consumer import on_course_created

pytestmark = pytest.mark.stack
EVENTS, POISON = 5, "m-2"
QUICK = Policy(attempts=3, first=0.001, longest=0.01)


@pytest.fixture
def members(workspace: Workspace) -> Workspace:
    """The member service's tables, a topic of one partition, and one for dead letters."""
    workspace.execute(member.CREATE_TABLE)
    workspace.execute(inbox.CREATE_TABLE)
    workspace.topic("courses", 1)
    workspace.topic("dead", 1)
    return workspace


class Handler:
    """Counts courses; cannot handle `POISON` until it is cured."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.cured = False
        self.tries = 0

    async def __call__(self, conn: AsyncConnection, delivery: Delivery) -> None:
        """The effect."""
        await on_course_created(conn, delivery)
        if delivery.payload["manager"] == POISON and not self.cured:
            self.tries += 1
            raise self.error


def counted(members: Workspace) -> dict[str, int]:
    """Managers, and how many courses they have."""
    return dict(members.fetch("SELECT name, courses FROM manager ORDER BY name"))


def once(*numbers: int) -> dict[str, int]:
    """The managers of these courses, with one course each."""
    return {f"m-{n}": 1 for n in numbers}


async def drained(members: Workspace) -> None:
    """Until nothing waits."""

    async def nothing_waits() -> bool:
        return await lag(members, "courses") == 0

    await until(nothing_waits, what="an empty backlog")


async def test_partition_stops_when_poison_has_nowhere_to_go(members: Workspace) -> None:
    """It is tried again and again; what is behind it waits, and nothing is lost."""
    handler = Handler(Rejected("no such manager"))
    await send(members, "courses", courses(EVENTS))
    async with consuming(members, [members.topic("courses")], handler, policy=QUICK):
        await until(lambda: handler.tries > 3, what="more than three tries")

    assert counted(members) == once(0, 1)
    assert await lag(members, "courses") == EVENTS - 2


@pytest.mark.parametrize(
    ("error", "tries"),
    [(Rejected("no such manager"), 1), (KeyError("a bug"), 1), (Retriable("try later"), 3)],
    ids=["rejected", "bug", "retriable"],
)
async def test_partition_goes_on_when_poison_is_buried(
    members: Workspace, error: Exception, tries: int
) -> None:
    """All others have their effect; the dead letter says what it was, where and why it failed."""
    handler = Handler(error)
    ids = await send(members, "courses", courses(EVENTS))
    topics = [members.topic("courses")]
    async with consuming(
        members, topics, handler, policy=QUICK, dead_letters=members.topic("dead")
    ):
        await drained(members)

    (letter,) = members.records("dead")
    assert (letter.key, letter.value) == ("c-2", b'{"manager": "m-2"}')
    assert letter.headers == {
        "event-id": str(ids[2]),
        "dead-letter-reason": dead_letter.reason(error),
        "dead-letter-topic": members.topic("courses"),
        "dead-letter-partition": "0",
        "dead-letter-offset": "2",
        "dead-letter-group": name(members),
    }
    assert (counted(members), handler.tries) == (once(0, 1, 3, 4), tries)


async def test_event_is_lost_when_its_failure_is_swallowed(members: Workspace) -> None:
    """A failure that would have passed: no effect, no backlog, nothing to replay."""
    handler = Handler(Retriable("try later"))
    await send(members, "courses", courses(EVENTS))
    async with consuming(members, [members.topic("courses")], handler, how=swallow.consume):
        await drained(members)
        handler.cured = True
        await send(members, "courses", courses(1, first=EVENTS))
        await drained(members)

    assert counted(members) == once(0, 1, 3, 4, 5)


async def test_effect_happens_once_when_a_replay_is_repeated(members: Workspace) -> None:
    """After the cure the dead letter has its effect, however often it is replayed."""
    handler = Handler(Rejected("no such manager"))
    dead = members.topic("dead")
    await send(members, "courses", courses(EVENTS))
    async with consuming(
        members, [members.topic("courses")], handler, policy=QUICK, dead_letters=dead
    ):
        await drained(members)
        handler.cured = True
        group = f"replay.{members.run_id}"
        replayed = [await replay(members.kafka, dead, group=group, again=n > 1) for n in range(4)]
        await drained(members)

    assert replayed == [1, 0, 1, 1]
    assert counted(members) == once(*range(EVENTS))
    assert len(members.records("dead")) == 1
