"""E20: what a killed course service leaves behind, in both naive orders and with the outbox."""

from __future__ import annotations

import pytest

from handbook.lab import Workspace, wait_until
from snippets import outbox
from snippets.services import course

pytestmark = pytest.mark.stack
COURSE = {"id": "c-1", "title": "아웃박스 입문", "manager": "김담당"}


@pytest.fixture
def courses(workspace: Workspace) -> Workspace:
    """The course service's tables and topic."""
    workspace.execute(course.CREATE_TABLE)
    workspace.execute(outbox.CREATE_TABLE)
    workspace.topic("courses")
    return workspace


def left_behind(courses: Workspace) -> tuple[set[str], set[str]]:
    """Ids that the database has, and ids that Kafka has."""
    stored = {row[0] for row in courses.fetch("SELECT id FROM course")}
    return stored, {record.key or "" for record in courses.records("courses")}


@pytest.mark.parametrize(
    ("order", "point", "expected"),
    [
        ("commit_then_send", "course.committed", ({"c-1"}, set())),
        ("send_then_commit", "course.sent", (set(), {"c-1"})),
    ],
)
def test_dual_write_leaves_one_side_only_when_killed_in_between(
    courses: Workspace, order: str, point: str, expected: tuple[set[str], set[str]]
) -> None:
    """Commit first loses the event, send first leaves a ghost."""
    kwargs = {"dsn": courses.dsn, "kafka": courses.kafka, "topic": courses.topic("courses")}
    service = courses.start(
        "snippets.naive.dual_write:main",
        kwargs={**kwargs, "courses": [COURSE], "order": order},
        stop_at=point,
    )
    service.wait_for(point)
    service.kill()

    assert left_behind(courses) == expected


@pytest.mark.parametrize(
    ("point", "survives"), [("course.written", False), ("course.committed", True)]
)
def test_outbox_loses_nothing_when_killed_after_commit(
    courses: Workspace, point: str, survives: bool
) -> None:
    """Course and event both exist or both do not, whenever the service is killed."""
    service = courses.start(
        "snippets.services.course:main",
        kwargs={"dsn": courses.dsn, "topic": courses.topic("courses"), "courses": [COURSE]},
        stop_at=point,
    )
    service.wait_for(point)
    service.kill()
    relay = courses.start(
        "snippets.relay:main", kwargs={"dsn": courses.dsn, "kafka": courses.kafka}
    )
    relay.wait_for("relay.leads")
    wait_until(lambda: not courses.fetch("TABLE outbox"), what="an empty outbox")
    relay.stop()

    ids = {"c-1"} if survives else set()
    assert left_behind(courses) == (ids, ids)
