"""Sagas over real services: lost replies, kills at every point, failing compensations, naive twins.

The verdict is always counted in the three databases: a course is complete in all, or in none.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg.errors import UniqueViolation
from running import NOTHING, World, complete

from handbook.lab import until
from snippets.checkpoint import Checkpoint, nothing
from snippets.naive import tx_log
from snippets.retry import Policy
from snippets.saga import Coordinator, Outcome, Saga, Step
from snippets.services.course_saga import create_course

pytestmark = pytest.mark.stack
QUICK = Policy(attempts=2, first=0.01)
POINTS = [
    "saga.begun",
    *(f"saga.{when}.{step}" for step in ("course", "manager", "board", "show")
      for when in ("before", "after")),
]  # fmt: skip


@asynccontextmanager
async def coordinating(
    world: World, *, policy: Policy = QUICK, at: Checkpoint = nothing
) -> AsyncIterator[tuple[Coordinator, Saga]]:
    """The course service's coordinator in this process."""
    async with await world.course.aconnect() as conn, world.participants() as (member, board):
        yield Coordinator(conn, policy=policy, at=at), create_course(conn, member, board)


def course(number: int = 1, manager: str = "김담당") -> dict[str, str]:
    """What a user asks for."""
    return {"id": f"c-{number}", "title": "사가 입문", "manager": manager}


async def test_course_is_in_all_databases_when_nothing_fails(world: World) -> None:
    """The saga ends, and the course is shown."""
    async with coordinating(world) as (coordinator, create):
        assert await coordinator.run(create, uuid4(), course()) is Outcome.DONE
    assert world.verdict() == complete("c-1")


async def test_nothing_is_left_when_a_service_rejects(world: World) -> None:
    """A business rule is no accident: what was done before is undone, nothing is repeated."""
    world.member.database.execute("INSERT INTO on_leave VALUES ('이휴가')")
    async with coordinating(world) as (coordinator, create):
        outcome = await coordinator.run(create, uuid4(), course(manager="이휴가"))
    assert outcome is Outcome.COMPENSATED
    assert world.verdict() == NOTHING


async def test_lost_reply_is_settled_when_the_call_is_repeated(world: World) -> None:
    """One reply is lost: the repeat finds the row that the first call made."""
    world.to_board.drop_replies(1)
    async with coordinating(world) as (coordinator, create):
        assert await coordinator.run(create, uuid4(), course()) is Outcome.DONE
    assert world.to_board.faults == 1
    assert world.verdict() == complete("c-1")


async def test_lost_replies_leave_no_orphans(world: World) -> None:
    """Every reply of the board is lost: whether it acted or not, it is cancelled."""
    async with coordinating(world) as (coordinator, create):
        for number in range(5):
            world.to_board.drop_replies(QUICK.attempts)
            outcome = await coordinator.run(create, uuid4(), course(number))
            assert outcome is Outcome.COMPENSATED
    assert world.to_board.faults == 5 * QUICK.attempts
    assert world.verdict() == NOTHING


async def test_log_in_memory_leaves_an_orphan_for_each_lost_reply(world: World) -> None:
    """The naive twin: it noted only calls that were answered."""
    async with await world.course.aconnect() as conn, world.participants() as parts:
        for number in range(5):
            world.to_board.drop_replies(1)
            assert not await tx_log.create_course(conn, *parts, course(number))
    orphans = [f"c-{number}" for number in range(5)]
    assert world.to_board.faults == 5
    assert world.verdict() == {**NOTHING, "boards": orphans}


def kill_at(world: World, target: str, point: str, courses: list[dict[str, Any]]) -> None:
    """Run the course service until it comes to `point`; SIGKILL."""
    settings = {"dsn": world.course.dsn, **world.urls, "courses": courses}
    child = world.workspace.start(target, kwargs=settings, stop_at=point)
    child.wait_for(point)
    child.kill()


def restart(world: World, target: str) -> None:
    """Run it again with nothing new to do, until it is idle."""
    settings = {"dsn": world.course.dsn, **world.urls, "courses": []}
    child = world.workspace.start(target, kwargs=settings)
    child.wait_for("saga.idle")
    assert child.wait() == 0


def test_killed_saga_ends_when_it_is_resumed(world: World) -> None:
    """SIGKILL at each of nine points; each course is complete after the restart."""
    for number, point in enumerate(POINTS):
        asked = {**course(number), "saga_id": str(uuid4())}
        kill_at(world, "snippets.services.course_saga:main", point, [asked])
        restart(world, "snippets.services.course_saga:main")
    assert world.verdict() == complete(*(f"c-{number}" for number in range(len(POINTS))))
    ended = "SELECT count(*) FROM saga WHERE state = 'done'"
    assert world.course.value(ended) == len(POINTS)


def test_compensation_is_finished_when_it_was_killed_halfway(world: World) -> None:
    """The coordinator dies while it undoes; the next one undoes the rest."""
    world.board.database.execute("INSERT INTO tombstone (course_id) VALUES ('c-1')")
    for number, step in enumerate(("manager", "course"), start=1):
        world.board.database.execute(
            "INSERT INTO tombstone (course_id) VALUES (%s) ON CONFLICT DO NOTHING", [f"c-{number}"]
        )
        asked = {**course(number), "saga_id": str(uuid4())}
        target = "snippets.services.course_saga:main"
        kill_at(world, target, f"saga.after_undo.{step}", [asked])
        restart(world, target)
    assert world.verdict() == NOTHING


def test_log_in_memory_is_gone_when_the_process_is_killed(world: World) -> None:
    """The naive twin: nobody knows of the courses that stand half made."""
    points = ["course.committed", "course.manager_added"]
    for number, point in enumerate(points):
        kill_at(world, "snippets.naive.tx_log:main", point, [course(number)])
        restart(world, "snippets.naive.tx_log:main")
    assert world.verdict() == {**NOTHING, "pending": ["c-0", "c-1"], "managers": ["c-1"]}


async def test_failing_compensation_is_repeated_then_left_to_people(world: World) -> None:
    """Beyond the policy exactly the failing steps wait in the queue; later they are undone."""

    def trouble(point: str) -> None:
        if point == "saga.before_undo.manager":
            world.to_member.refuse()

    world.to_board.drop_replies(QUICK.attempts)
    async with coordinating(world, at=trouble) as (coordinator, create):
        saga_id = uuid4()
        assert await coordinator.run(create, saga_id, course()) is Outcome.STUCK
        queue = world.course.fetch("SELECT saga_id, step FROM manual_queue")
        assert queue == [(saga_id, "manager")]
        assert world.verdict() == {**NOTHING, "managers": ["c-1"]}
    world.to_member.heal()
    async with coordinating(world) as (coordinator, create):
        ended = await coordinator.resume([create], stuck=True)
    assert ended == {saga_id: Outcome.COMPENSATED}
    assert world.verdict() == NOTHING
    assert world.course.value("SELECT count(*) FROM manual_queue") == 0


async def test_compensation_is_repeated_when_its_reply_is_lost(
    world: World,
) -> None:
    """A transient fault costs a repeat, nothing else."""

    def trouble(point: str) -> None:
        if point == "saga.before_undo.manager":
            world.to_member.drop_replies(1)

    world.to_board.drop_replies(QUICK.attempts)
    async with coordinating(world, at=trouble) as (coordinator, create):
        assert await coordinator.run(create, uuid4(), course()) is Outcome.COMPENSATED
    assert world.to_member.faults == 1
    assert world.verdict() == NOTHING


async def test_swallowed_compensation_leaves_its_orphan_for_ever(world: World) -> None:
    """The naive twin: one line in a log, and a manager of a course that does not exist."""

    def trouble(point: str) -> None:
        if point == "course.manager_added":
            world.to_board.refuse()
            world.to_member.refuse()

    async with await world.course.aconnect() as conn, world.participants() as parts:
        assert not await tx_log.create_course(conn, *parts, course(), at=trouble)
    assert world.verdict() == {**NOTHING, "managers": ["c-1"]}


async def test_saga_goes_forward_when_the_pivot_is_behind_it(world: World) -> None:
    """After the pivot nothing is undone: the step waits for people, and is then done."""
    async with coordinating(world) as (coordinator, create):
        first, manager, board, _ = create.steps
        assert manager.compensation is not None
        steps = (first, Step("manager", manager.action, kind="pivot"),
                 Step("board", board.action, kind="retriable"))  # fmt: skip
        forward, saga_id = Saga("forward", steps), uuid4()
        world.to_board.refuse()
        assert await coordinator.run(forward, saga_id, course()) is Outcome.STUCK
        assert world.verdict() == {**NOTHING, "pending": ["c-1"], "managers": ["c-1"]}
        world.to_board.heal()
        assert await coordinator.resume([forward], stuck=True) == {saga_id: Outcome.DONE}
    assert world.verdict()["boards"] == ["c-1"]
    assert world.course.value("SELECT count(*) FROM manual_queue") == 0


async def test_compensations_run_together_when_the_saga_says_they_may(world: World) -> None:
    """The result is the same."""
    world.to_board.drop_replies(QUICK.attempts)
    async with coordinating(world) as (coordinator, create):
        together = Saga(create.name, create.steps, parallel=True)
        assert await coordinator.run(together, uuid4(), course()) is Outcome.COMPENSATED
    assert world.verdict() == NOTHING


async def test_second_saga_of_an_id_is_refused_and_does_not_keep_the_first_from_its_end(
    world: World,
) -> None:
    """The refused one holds no lock: who resumes later finds the first one free."""
    saga_id = uuid4()

    def die(point: str) -> None:
        if point == "saga.after.manager":
            raise RuntimeError

    async with coordinating(world, at=die) as (coordinator, create):
        with pytest.raises(RuntimeError):
            await coordinator.run(create, saga_id, course())
    async with coordinating(world) as (second, create), coordinating(world) as (third, _):
        with pytest.raises(UniqueViolation):
            await second.run(create, saga_id, course())
        assert await third.resume([create]) == {saga_id: Outcome.DONE}
    assert world.verdict() == complete("c-1")


async def test_saga_at_work_is_left_alone_when_another_coordinator_resumes(world: World) -> None:
    """Its lock is free only when its coordinator is gone."""
    asked = {**course(), "saga_id": str(uuid4())}
    settings = {"dsn": world.course.dsn, **world.urls, "courses": [asked]}
    child = world.workspace.start(
        "snippets.services.course_saga:main", kwargs=settings, stop_at="saga.before.board"
    )
    child.wait_for("saga.before.board")
    async with coordinating(world) as (coordinator, create):
        assert await coordinator.resume([create]) == {}
        child.kill()

        async def resumed() -> dict[UUID, Outcome]:
            return await coordinator.resume([create])

        ended = await until(resumed, what="the dead coordinator's lock to be free")
    assert ended == {UUID(asked["saga_id"]): Outcome.DONE}
    assert world.verdict() == complete("c-1")


async def test_saga_is_not_run_again_when_another_coordinator_was_quicker(world: World) -> None:
    """Between finding it and locking it, it came to its end: its steps are not repeated."""

    def die(point: str) -> None:
        if point == "saga.after.manager":
            raise RuntimeError

    def quicker(point: str) -> None:
        if point == "saga.found":
            world.course.execute("UPDATE saga SET state = 'compensated'")

    async with coordinating(world, at=die) as (coordinator, create):
        with pytest.raises(RuntimeError):
            await coordinator.run(create, uuid4(), course())
    async with coordinating(world, at=quicker) as (second, create):
        assert await second.resume([create]) == {}
    assert world.verdict()["boards"] == []


def test_saga_is_refused_when_its_steps_are_in_no_safe_order() -> None:
    """A compensatable step after the pivot, or one that cannot be undone, is refused at once."""

    async def call(_: object) -> None:
        """Nothing."""

    with pytest.raises(ValueError, match="then the pivot"):
        Saga("s", [Step("a", call, kind="pivot"), Step("b", call, call)])
    with pytest.raises(ValueError, match="needs a compensation"):
        Saga("s", [Step("a", call)])
