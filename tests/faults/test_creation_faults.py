"""Courses are created in every style while everything breaks; then all three databases agree."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import random
import threading
from collections.abc import Iterator
from typing import get_args
from uuid import uuid5

import httpx
import pytest
from nemesis import Nemesis
from town import ON_LEAVE, Answers, Client, Town, own_stack

from handbook.lab import Verdict, Workspace
from handbook.stack import Stack
from snippets.services.course_app import COURSES
from snippets.services.creating import StyleName

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]
log = logging.getLogger(
    "faults"
)  # `pytest -o log_cli=true --log-cli-level=INFO` shows the verdicts
STYLES = get_args(StyleName)
CLIENTS = 8
FROZEN = 3
TWICE = "SELECT title FROM course GROUP BY title HAVING count(*) > 1"
LOSE_ONE = "DELETE FROM registration WHERE course_id = (SELECT min(course_id) FROM registration)"
SEED = int(os.environ.get("HANDBOOK_SEED", "20261126"))


@pytest.fixture(scope="module")
def breakable() -> Iterator[Stack]:
    """Servers of this module's own."""
    with own_stack() as stack:
        yield stack


@pytest.mark.parametrize("style", STYLES)
def test_creations_are_whole_or_gone_when_ten_faults_strike(breakable: Stack, style: str) -> None:
    """Nothing is lost, doubled, stuck or out of order."""
    judge(breakable, style, creations=100, faults=10, seed=SEED)


@pytest.mark.soak
@pytest.mark.parametrize("style", STYLES)
def test_creations_are_whole_or_gone_when_a_hundred_faults_strike(
    breakable: Stack, style: str
) -> None:
    """The same, ten times as long."""
    judge(breakable, style, creations=1000, faults=100, seed=SEED)


def test_verdict_is_bad_when_one_row_is_taken_away(breakable: Stack) -> None:
    """The twin: a course that was promised and stands in two databases is lost, and stuck."""
    with run(breakable, "commit-first", creations=20, faults=1, seed=SEED) as (town, nemesis, told):
        assert count(town, nemesis, told).holds is True
        first = (
            "DELETE FROM registration WHERE course_id = (SELECT min(course_id) FROM registration)"
        )
        town.database("member").execute(first)
        verdict = count(town, nemesis, told)
    assert (verdict.holds, verdict.lost, verdict.stuck) == (False, 1, 1)


def judge(stack: Stack, style: str, *, creations: int, faults: int, seed: int) -> None:
    """The seed and what was broken are in the message."""
    with run(stack, style, creations=creations, faults=faults, seed=seed) as (town, nemesis, told):
        verdict = count(town, nemesis, told)
        log.info("%s: %s", style, verdict)
        assert verdict.holds is True, f"seed={seed} {verdict} after {nemesis.done}"
        assert verdict.faults >= faults * 0.9
        assert manual_queue(town) == told.frozen


@contextlib.contextmanager
def run(
    stack: Stack, style: str, *, creations: int, faults: int, seed: int
) -> Iterator[tuple[Town, Nemesis, Answers]]:
    """Create under faults, heal, drain; what is left is there to be counted."""
    events = style == "events"
    with contextlib.ExitStack() as closing:
        workspace = Workspace.create(stack, "faults")
        closing.callback(workspace.close)
        town = Town(stack, workspace, events)
        town.open(closing)
        answers = Answers()
        if style == "saga":
            freeze(town, answers)
        nemesis = Nemesis(town, random.Random(seed))
        asyncio.run(create_all(town, nemesis, style, answers, creations, faults))
        town.drain()
        yield town, nemesis, answers


def freeze(town: Town, answers: Answers) -> None:
    """Courses whose board refuses and whose manager can never be taken back: for people."""
    for number in range(FROZEN):
        course = str(uuid5(COURSES, f"frozen-{number}"))
        town.database("board").execute("INSERT INTO tombstone VALUES (%s)", [course])
        town.database("member").execute("INSERT INTO frozen VALUES (%s)", [course])
        answers.frozen.add(course)


async def create_all(
    town: Town, nemesis: Nemesis, style: str, answers: Answers, creations: int, faults: int
) -> None:
    """Eight clients ask; a fault strikes whenever so many courses have come to their end."""
    ended = threading.Semaphore(0)
    over = threading.Event()
    keys = iter(range(creations))

    async def work(http: httpx.AsyncClient) -> None:
        client = Client(town, http, style, answers)
        for number in keys:
            # Every tenth is refused by a business rule.
            manager = ON_LEAVE if number % 10 == 7 else "김담당"
            await client.create(f"{style}-{number}", manager)
            ended.release()

    def strike() -> None:
        for _ in range(faults):
            for _ in range(creations // (faults + 1)):
                ended.acquire(timeout=30)
            nemesis.strike()
        over.set()

    async with httpx.AsyncClient(timeout=3) as http:
        striking = asyncio.create_task(asyncio.to_thread(strike))
        stuck = [
            Client(town, http, style, answers).create(f"frozen-{number}", "김담당", patience=5.0)
            for number in range(FROZEN if answers.frozen else 0)
        ]
        await asyncio.gather(*(work(http) for _ in range(CLIENTS)), *stuck)
        await striking


def count(town: Town, nemesis: Nemesis, answers: Answers) -> Verdict:
    """A course is there when it is in all three databases, and stuck when it is in one or two."""
    places = [town.places(service) for service in ("course", "member", "board")]
    everywhere = set().union(*places)
    whole = {one for one in everywhere if all(one in place for place in places)}
    again = [title for (title,) in town.fetch("course", TWICE)]
    return Verdict.of(
        attempted=answers.attempted,
        acknowledged=answers.acknowledged,
        refused=answers.refused,
        found=dict.fromkeys(whole, 1) | dict.fromkeys(again, 2),
        stuck=everywhere - whole - answers.frozen,
        inverted=inversions(town),
        faults=len(nemesis.done),
    )


def inversions(town: Town) -> int:
    """Courses whose cancellation came to Kafka before their start; repeats do not count."""
    if not town.events:
        return 0
    first: dict[str, list[str]] = {}
    seen: set[str] = set()
    for record in town.workspace.records("course"):
        if record.headers["event-id"] not in seen:
            seen.add(record.headers["event-id"])
            first.setdefault(record.key or "", []).append(json.loads(record.value)["type"])
    return sum(kinds[0] != "CourseCreationStarted" for kinds in first.values())


def manual_queue(town: Town) -> set[str]:
    """What is left to people."""
    return {one for (one,) in town.fetch("course", "SELECT saga_id::text FROM manual_queue")}
