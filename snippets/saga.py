"""Saga: steps of several services, each with a compensation, and a log that survives a crash.

Guarantees:
    A saga ends: all its steps are done, or all that may have acted are compensated, or what could
    not be undone waits in `manual_queue`. A crash of the coordinator changes nothing of that, once
    `resume` runs.
    The log says `started` before each call, so that a reply which never came is compensated too.
    From the pivot on nothing is compensated: the rest is repeated until it succeeds.

Does not guarantee:
    Isolation: others see what unfinished sagas have written (see `semantic_lock`).
    That a compensation succeeds. What fails beyond the policy is recorded and left to people.

Assumes:
    Actions and compensations are idempotent by the saga's id, and a compensation that comes before
    its action wins (`registry`).
    `conn` is in autocommit mode: each entry of the log is committed at once.

Proved by:
    E13 tests/snippets/test_saga.py::test_lost_replies_leave_no_orphans
    E14 tests/snippets/test_saga.py::test_killed_saga_ends_when_it_is_resumed
    E15 tests/snippets/test_saga.py::test_failing_compensation_is_repeated_then_left_to_people

Source: Garcia-Molina and Salem, Sagas (SIGMOD 1987); Richardson, Microservices Patterns, chapter 4;
Azure Architecture Center, Saga and Compensating Transaction patterns.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal
from uuid import UUID

from psycopg import AsyncConnection

from snippets.checkpoint import Checkpoint, nothing
from snippets.errors import CallError, Rejected
from snippets.retry import Policy, retrying

# --8<-- [start:table]
CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS saga (
    id       uuid PRIMARY KEY,
    name     text NOT NULL,
    data     jsonb NOT NULL,
    state    text NOT NULL,      -- running | compensating | done | compensated | stuck
    rejected boolean,            -- why it turned back: a business rule, or a service that failed
    reason   text
);
CREATE TABLE IF NOT EXISTS saga_step (
    saga_id uuid REFERENCES saga,
    name    text,
    state   text NOT NULL,       -- started | done | undone
    PRIMARY KEY (saga_id, name)
);
CREATE TABLE IF NOT EXISTS manual_queue (
    saga_id uuid REFERENCES saga,
    step    text,
    reason  text NOT NULL,
    PRIMARY KEY (saga_id, step)
);
"""
# --8<-- [end:table]

BEGIN = "INSERT INTO saga (id, name, data, state) VALUES (%s, %s, %s, 'running')"
SET_STATE = "UPDATE saga SET state = %s WHERE id = %s"
TURN_BACK = "UPDATE saga SET state = 'compensating', rejected = %s, reason = %s WHERE id = %s"
LOG = """
INSERT INTO saga_step (saga_id, name, state) VALUES (%s, %s, %s)
ON CONFLICT (saga_id, name) DO UPDATE SET state = excluded.state
"""
STEPS = "SELECT name, state FROM saga_step WHERE saga_id = %s"
GIVE_UP = """
INSERT INTO manual_queue (saga_id, step, reason) VALUES (%s, %s, %s)
ON CONFLICT (saga_id, step) DO UPDATE SET reason = excluded.reason
"""
TAKE_BACK = "DELETE FROM manual_queue WHERE saga_id = %s AND step = %s"
# Of the session: a coordinator that dies gives all its sagas back.
OWN = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"
DISOWN = "SELECT pg_advisory_unlock(hashtextextended(%s, 0))"
UNFINISHED = "SELECT id, name, data, state FROM saga WHERE state IN ('running', 'compensating')"
STUCK = "SELECT id, name, data, state FROM saga WHERE state = 'stuck'"

Call = Callable[[Mapping[str, Any]], Awaitable[None]]
Kind = Literal["compensatable", "pivot", "retriable"]


class Outcome(Enum):
    """How a saga ended."""

    DONE = "done"
    COMPENSATED = "compensated"
    STUCK = "stuck"


# --8<-- [start:step]
@dataclass(frozen=True)
class Step:
    """One service's part.

    Attributes:
        name: Unique in its saga.
        action: Gets the saga's data.
        compensation: Undoes the action, and succeeds when there is nothing to undo.
        kind: Before the pivot a step has a compensation; the pivot decides; after it a step is
            repeated until it succeeds.
    """

    name: str
    action: Call
    compensation: Call | None = None
    kind: Kind = "compensatable"


@dataclass(frozen=True)
class Saga:
    """Steps in order. `parallel`: their compensations do not depend on each other."""

    name: str
    steps: Sequence[Step]
    parallel: bool = False
    # --8<-- [end:step]

    def __post_init__(self) -> None:
        kinds = [step.kind for step in self.steps]
        if kinds != sorted(kinds, key=["compensatable", "pivot", "retriable"].index):
            raise ValueError(
                f"{self.name}: compensatable steps, then the pivot, then retriable ones"
            )
        for step in self.steps:
            if step.kind == "compensatable" and step.compensation is None:
                raise ValueError(f"{self.name}: step {step.name} needs a compensation")


class Coordinator:
    """Runs sagas on one database; see the module for what it guarantees."""

    def __init__(
        self, conn: AsyncConnection, *, policy: Policy | None = None, at: Checkpoint = nothing
    ) -> None:
        self._conn = conn
        self._policy = policy or Policy()
        self._at = at

    # --8<-- [start:run]
    async def run(self, saga: Saga, saga_id: UUID, data: Mapping[str, Any]) -> Outcome:
        """Run a new saga to its end.

        Raises:
            psycopg.errors.UniqueViolation: there is a saga of that id; `resume` ends it.
        """
        await self._conn.execute(OWN, (str(saga_id),))
        try:
            await self._conn.execute(BEGIN, (saga_id, saga.name, json.dumps(data)))
            self._at("saga.begun")
            return await self._forward(saga, saga_id, data)
        finally:
            await self._conn.execute(DISOWN, (str(saga_id),))

    async def _forward(self, saga: Saga, saga_id: UUID, data: Mapping[str, Any]) -> Outcome:
        known = await self._steps(saga_id)
        for step in saga.steps:
            if known.get(step.name) == "done":
                continue
            await self._log(saga_id, step, "started")
            self._at(f"saga.before.{step.name}")
            try:
                await retrying(self._policy)(step.action, data)
            except CallError as error:
                return await self._failed(saga, saga_id, data, step, error)
            self._at(f"saga.after.{step.name}")
            await self._log(saga_id, step, "done")
            await self._conn.execute(TAKE_BACK, (saga_id, step.name))
        return await self._end(saga_id, Outcome.DONE)
        # --8<-- [end:run]

    async def _failed(
        self, saga: Saga, saga_id: UUID, data: Mapping[str, Any], step: Step, error: CallError
    ) -> Outcome:
        """Back before the pivot; at and after it there is no way back that is safe."""
        rejected = isinstance(error, Rejected)
        if rejected and step.kind != "retriable":
            await self._log(saga_id, step, "undone")  # it did nothing
        elif step.kind != "compensatable":
            await self._conn.execute(GIVE_UP, (saga_id, step.name, error.reason))
            return await self._end(saga_id, Outcome.STUCK)
        await self._conn.execute(TURN_BACK, (rejected, error.reason, saga_id))
        return await self._backward(saga, saga_id, data)

    # --8<-- [start:backward]
    async def _backward(self, saga: Saga, saga_id: UUID, data: Mapping[str, Any]) -> Outcome:
        """Undo what was done and what may have been done, the last step first."""
        known = await self._steps(saga_id)
        open_steps = [step for step in reversed(saga.steps) if known.get(step.name) in DOUBTFUL]
        undoing = [self._undo(saga_id, step, data) for step in open_steps]
        if saga.parallel:
            undone = await asyncio.gather(*undoing)
        else:
            undone = [await one for one in undoing]
        return await self._end(saga_id, Outcome.COMPENSATED if all(undone) else Outcome.STUCK)

    async def _undo(self, saga_id: UUID, step: Step, data: Mapping[str, Any]) -> bool:
        assert step.compensation is not None
        self._at(f"saga.before_undo.{step.name}")
        try:
            await retrying(self._policy)(step.compensation, data)
        except CallError as error:
            await self._conn.execute(GIVE_UP, (saga_id, step.name, error.reason))
            return False
        self._at(f"saga.after_undo.{step.name}")
        await self._log(saga_id, step, "undone")
        await self._conn.execute(TAKE_BACK, (saga_id, step.name))
        return True
        # --8<-- [end:backward]

    # --8<-- [start:resume]
    async def resume(self, sagas: Sequence[Saga], *, stuck: bool = False) -> dict[UUID, Outcome]:
        """End what a dead coordinator left; `stuck`: try again what was left to people."""
        known, outcomes = {saga.name: saga for saga in sagas}, {}
        wanted = STUCK if stuck else UNFINISHED
        found = await (await self._conn.execute(wanted)).fetchall()
        self._at("saga.found")
        for saga_id, name, data, state in found:
            if name not in known or not await self._own(saga_id):
                continue  # somebody else's, or still at work
            try:
                if (saga_id, name, data, state) in await self._again(wanted, saga_id):
                    outcomes[saga_id] = await self._continue(known[name], saga_id, data, state)
            finally:
                await self._conn.execute(DISOWN, (str(saga_id),))
        return outcomes
        # --8<-- [end:resume]

    async def _continue(
        self, saga: Saga, saga_id: UUID, data: Mapping[str, Any], state: str
    ) -> Outcome:
        forward = state == "running"
        if state == "stuck":
            queued = await self._steps(saga_id)
            kinds = {step.name: step.kind for step in saga.steps}
            forward = any(
                kinds[name] != "compensatable" for name in queued if queued[name] == "started"
            )
        return await (self._forward if forward else self._backward)(saga, saga_id, data)

    async def _again(self, wanted: str, saga_id: UUID) -> list[tuple[Any, ...]]:
        """Now that it is ours: somebody else may have brought it to its end meanwhile."""
        return await (await self._conn.execute(f"{wanted} AND id = %s", (saga_id,))).fetchall()

    async def _own(self, saga_id: UUID) -> bool:
        return await (await self._conn.execute(OWN, (str(saga_id),))).fetchone() == (True,)

    async def _steps(self, saga_id: UUID) -> dict[str, str]:
        return dict(await (await self._conn.execute(STEPS, (saga_id,))).fetchall())

    async def _log(self, saga_id: UUID, step: Step, state: str) -> None:
        await self._conn.execute(LOG, (saga_id, step.name, state))

    async def _end(self, saga_id: UUID, outcome: Outcome) -> Outcome:
        await self._conn.execute(SET_STATE, (outcome.value, saga_id))
        return outcome


# What may have acted: a step whose reply is not known counts as done.
DOUBTFUL = {"started", "done"}
