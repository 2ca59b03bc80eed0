"""The course service over real HTTP: keys, bad input, deaths, lost databases, wrong clocks.

The verdict is counted in three databases: a course is complete in all, or in none.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import uuid5

import httpx
import psutil
import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from running import NOTHING, Scissors, Service, Trio, complete, post, start

from handbook.lab import until
from snippets.correlation import HTTP_HEADER
from snippets.services.course_app import COURSES, resume_stuck
from snippets.services.creating import STYLES, StyleName

pytestmark = pytest.mark.stack
TERM = "2026-2"
PROBLEM = "application/problem+json"


def id_of(key: str) -> str:
    """The id of the course that a key asks for."""
    return str(uuid5(COURSES, key))


def another(
    trio: Trio, *, stop_at: str | None = None, dsn: str = "", **settings: object
) -> Service:
    """A second process of the course service, on the same database."""
    wanted = {"settings": {**trio.urls, "attempts": 2, **settings}, "dsn": dsn or trio.course.dsn}
    return start(trio.workspace, "course", database=trio.course, stop_at=stop_at, **wanted)


async def insist(
    http: httpx.AsyncClient, service: Service, key: str, style: StyleName = "saga", **fields: Any
) -> httpx.Response:
    """Come again with the same key until there is a final reply."""

    async def final() -> httpx.Response | None:
        reply = await post(http, service, key, style, **fields)
        done = reply.is_success or reply.json().get("again") == "new key"
        return reply if done else None

    reply: httpx.Response = await until(final, what=f"a final reply to {key}")
    return reply


@contextmanager
def term_locked(trio: Trio) -> Iterator[psycopg.Connection]:
    """A term whose row another transaction has; creations in it wait."""
    trio.course.execute("INSERT INTO term (name, capacity) VALUES (%s, 100)", [TERM])
    with trio.course.connect(autocommit=False) as conn:
        conn.execute("SELECT FROM term FOR UPDATE")
        yield conn


async def waiting(trio: Trio) -> None:
    """Until a creation waits for the term."""
    blocked = """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'
    """
    await until(lambda: trio.course.value(blocked), what="a creation to wait for the term")


# Creating and reading


@pytest.mark.parametrize(
    ("style", "status"), [(style, 202 if style == "events" else 201) for style in STYLES]
)
async def test_course_is_created_in_the_style_that_the_request_names(
    trio: Trio, http: httpx.AsyncClient, style: StyleName, status: int
) -> None:
    """The reply says where it is; others have still to act when it is created by events."""
    reply = await trio.post(http, "key", style)
    assert reply.status_code == status
    assert reply.json()["style"] == style
    found = await http.get(f"{trio.service.url}/courses/{id_of('key')}")
    assert found.json() == reply.json()
    where = await http.get(f"{trio.service.url}{reply.headers['location']}")
    if style == "events":
        assert trio.verdict() == {**NOTHING, "pending": [id_of("key")]}
        assert (where.json()["state"], where.json()["missing"]) == ("running", ["member", "board"])
    else:
        assert trio.verdict() == complete(id_of("key"))
        assert where.json() == reply.json()


async def test_batch_reports_what_is_missing_when_ids_are_unknown(
    trio: Trio, http: httpx.AsyncClient
) -> None:
    """In the order asked, without repeats."""
    for key in ("a", "b"):
        await trio.post(http, key)
    ids = [id_of("b"), "c-404", id_of("a"), id_of("b")]
    answer = (await http.get(f"{trio.service.url}/courses", params={"ids": ",".join(ids)})).json()
    assert [row["id"] for row in answer["rows"]] == [id_of("b"), id_of("a")]
    assert answer["missing"] == ["c-404"]


async def test_overview_asks_each_service_once_for_all_courses(
    trio: Trio, http: httpx.AsyncClient
) -> None:
    """Names of manager and board beside the course: two requests, not two for each course."""
    keys = [f"key-{number}" for number in range(5)]
    for key in keys:
        await trio.post(http, key, title=f"과정 {key}")
    page = {"ids": ",".join(map(id_of, keys))}
    tracked = {HTTP_HEADER: "overview-1"}
    answer = await http.get(f"{trio.service.url}/overviews", params=page, headers=tracked)
    names = [(row["manager"], row["board"]) for row in answer.json()["rows"]]
    assert names == [("김담당", f"과정 {key}") for key in keys]
    for service, path in ((trio.member, "/managers"), (trio.board, "/boards")):
        log = await until(partial(service.logged, "overview-1"), what="the request")
        assert [line["path"] for line in log] == [path]


async def test_overview_is_served_without_names_when_a_service_is_down(
    trio: Trio, http: httpx.AsyncClient
) -> None:
    """The page says whose names are missing; a page from the cache still has them."""
    await trio.post(http, "key")

    async def names(**more: str) -> tuple[str | None, str | None, list[str]]:
        page = {"ids": id_of("key"), **more}
        answer = (await http.get(f"{trio.service.url}/overviews", params=page)).json()
        return answer["rows"][0]["manager"], answer["rows"][0]["board"], answer["unavailable"]

    assert await names(cached="true") == ("김담당", "사가 입문", [])
    trio.to_member.refuse()
    assert await names() == (None, "사가 입문", ["member"])
    assert await names(cached="true") == ("김담당", "사가 입문", [])


# Idempotency keys


async def test_repeat_gets_the_stored_reply(trio: Trio, http: httpx.AsyncClient) -> None:
    """A success, a rejection, a creation that was undone: the same status and body every time."""
    trio.member.database.execute("INSERT INTO on_leave VALUES ('이휴가')")
    for style in STYLES:
        wanted = [(201, {}), (422, {"manager": "이휴가"}), (424, {})]
        for status, fields in wanted if style != "events" else [(202, {})]:
            if status == 424:
                trio.to_board.drop_replies(2)
            key = f"{style}-{status}"
            replies = [await trio.post(http, key, style, **fields) for _ in range(3)]
            assert {reply.status_code for reply in replies} == {status}
            assert len({(reply.text, reply.headers.get("location")) for reply in replies}) == 1
    assert sorted(trio.verdict()["boards"]) == sorted(
        id_of(f"{style}-201") for style in STYLES if style != "events"
    )


async def test_request_is_refused_when_its_key_is_missing_or_misused(
    trio: Trio, http: httpx.AsyncClient
) -> None:
    """400 without a key, 422 for another content; with quotes or without it is the same key."""
    body = {"title": "사가 입문", "manager": "김담당"}
    url = f"{trio.service.url}/courses"
    for headers in ({}, {"Idempotency-Key": ""}, {"Idempotency-Key": "a b"}):
        assert (await http.post(url, json=body, headers=headers)).status_code == 400
    first = await http.post(url, json=body, headers={"Idempotency-Key": '"key"'})
    again = await http.post(url, json=body, headers={"Idempotency-Key": "key"})
    other = await http.post(url, json={**body, "title": "다른"}, headers={"Idempotency-Key": "key"})
    assert (first.status_code, again.text) == (201, first.text)
    assert (other.status_code, other.json()["again"]) == (422, "new key")
    assert trio.verdict() == complete(id_of("key"))


async def test_repeat_is_told_to_wait_when_the_first_is_at_work(
    trio: Trio, http: httpx.AsyncClient
) -> None:
    """409 with the time to wait; afterwards both have the same reply."""
    with term_locked(trio) as lock:
        first = asyncio.create_task(trio.post(http, "key", "long-transaction", term=TERM))
        await waiting(trio)
        early = await trio.post(http, "key", "long-transaction", term=TERM)
        lock.rollback()
    made = await first
    again = await trio.post(http, "key", "long-transaction", term=TERM)
    assert (early.status_code, early.json()["again"]) == (409, "same key")
    assert early.headers["retry-after"] == "1"
    assert (made.status_code, again.text) == (201, made.text)


async def test_course_is_not_doubled_when_a_clock_jumps(
    trio: Trio, http: httpx.AsyncClient
) -> None:
    """Two days forward: the key has expired, the course is found. Back: the key is still known."""
    first = await trio.post(http, "key", "commit-first")
    for days in (2, -2):
        service = another(trio, skew=86_400.0 * days)
        again = await post(http, service, "key", "commit-first")
        assert (again.status_code, again.text) == (201, first.text)
    assert trio.verdict() == complete(id_of("key"))


async def test_keys_are_forgotten_when_they_have_expired(
    trio: Trio, http: httpx.AsyncClient
) -> None:
    """A day after the request its key is deleted; the course is not."""
    await trio.post(http, "key")
    another(trio, skew=86_400.0 + 60)
    keys = "SELECT count(*) FROM idempotency_key"
    await until(lambda: trio.course.value(keys) == 0, what="the key to be forgotten")
    assert trio.verdict() == complete(id_of("key"))


async def test_work_goes_on_when_its_request_has_timed_out(
    trio: Trio, http: httpx.AsyncClient
) -> None:
    """504, for the end is unknown; the process ends only when the work has, and it is kept."""
    service = another(trio, limit=0.5)
    with term_locked(trio) as lock:
        reply = await post(http, service, "key", "long-transaction", term=TERM)
        await waiting(trio)
        stopping = asyncio.create_task(asyncio.to_thread(service.process.stop))
        lock.rollback()
    await stopping
    assert (reply.status_code, reply.headers["content-type"]) == (504, PROBLEM)
    assert trio.verdict() == complete(id_of("key"))
    again = await trio.post(http, "key", "long-transaction", term=TERM)
    assert again.status_code == 201


async def test_key_is_free_again_when_its_work_was_cut_off(
    trio: Trio, http: httpx.AsyncClient
) -> None:
    """Work has half the lease: whoever comes after it finds nobody at work."""
    service = another(trio, lease=1.0)
    with term_locked(trio) as lock:
        reply = await post(http, service, "key", "long-transaction", term=TERM)
        lock.rollback()
    assert reply.status_code == 504
    assert trio.course.value("SELECT count(*) FROM idempotency_key") == 0
    again = await insist(http, service, "key", "long-transaction", term=TERM)
    assert again.status_code == 201
    assert trio.verdict() == complete(id_of("key"))


@pytest.mark.parametrize(
    ("style", "status"), [("long-transaction", 201), ("version-check", 201), ("commit-first", 424)]
)
async def test_repeat_ends_what_was_left_when_a_service_was_down(
    trio: Trio, http: httpx.AsyncClient, style: StyleName, status: int
) -> None:
    """502: not whole, not undone. The same key goes on; what was committed first is taken back."""
    trio.to_board.refuse()
    reply = await trio.post(http, "key", style)
    assert (reply.status_code, reply.json()["again"]) == (502, "same key")
    assert trio.verdict()["managers"] == [id_of("key")]
    trio.to_board.heal()
    assert (await trio.post(http, "key", style)).status_code == status
    assert trio.verdict() == (complete(id_of("key")) if status == 201 else NOTHING)


async def test_stuck_saga_is_ended_when_people_have_removed_the_cause(
    trio: Trio, http: httpx.AsyncClient
) -> None:
    """It waits in the queue, and a repeat changes nothing; resumed, it comes to its end."""
    trio.to_board.refuse()
    for _ in range(2):
        assert (await trio.post(http, "key")).status_code == 502
    assert trio.course.fetch("SELECT step FROM manual_queue") == [("board",)]
    trio.to_board.heal()
    settings = {**trio.urls, "attempts": 2}
    assert await resume_stuck(trio.course.dsn, settings) == {id_of("key"): "compensated"}
    assert (await trio.post(http, "key")).status_code == 424
    assert trio.verdict() == NOTHING


# Bad input

GOOD = {"title": "과정", "manager": "김담당"}
KEY = {"Idempotency-Key": "bad-input"}
JSON = {**KEY, "Content-Type": "application/json"}
BAD: list[tuple[str, str, dict[str, Any], int]] = [
    ("POST", "/courses", {"content": "{", "headers": JSON}, 400),
    ("POST", "/courses", {"content": "title=a", "headers": KEY}, 415),
    ("POST", "/courses", {"content": b'{"title": "\xff"}', "headers": JSON}, 400),
    ("POST", "/courses", {"content": "[" * 60_000, "headers": JSON}, 422),
    ("POST", "/courses", {"json": [], "headers": KEY}, 422),
    ("POST", "/courses", {"json": {}, "headers": KEY}, 422),
    ("POST", "/courses", {"json": {**GOOD, "id": "mine"}, "headers": KEY}, 422),
    ("POST", "/courses", {"json": {**GOOD, "title": 7}, "headers": KEY}, 422),
    ("POST", "/courses", {"json": {**GOOD, "title": ""}, "headers": KEY}, 422),
    ("POST", "/courses", {"json": {**GOOD, "manager": "a\x00"}, "headers": KEY}, 422),
    ("POST", "/courses", {"json": {**GOOD, "style": "two-phase-commit"}, "headers": KEY}, 422),
    ("POST", "/courses", {"json": {**GOOD, "title": "a" * 101}, "headers": KEY}, 422),
    ("POST", "/courses", {"json": {**GOOD, "title": "a" * 70_000}, "headers": KEY}, 413),
    ("POST", "/courses", {"json": GOOD, "headers": {"Idempotency-Key": "k" * 129}}, 400),
    ("PUT", "/courses", {"json": GOOD, "headers": KEY}, 405),
    ("GET", "/courses/not%20an%20id", {}, 400),
    ("GET", "/courses/c-1%0A", {}, 400),
    ("GET", "/courses/c-404", {}, 404),
    ("GET", "/courses/c-404/creation", {}, 404),
    ("GET", "/courses", {}, 400),
    ("GET", "/courses", {"params": {"ids": "a,,b"}}, 400),
    ("GET", "/courses", {"params": {"ids": "a\x00"}}, 400),
    ("GET", "/courses", {"params": {"ids": ",".join(map(str, range(101)))}}, 400),
    ("GET", "/courses", {"params": {"ids": ",".join(map(str, range(2_500)))}}, 414),
    ("GET", "/overviews", {"params": {"ids": "a", "cached": "perhaps"}}, 400),
]


async def test_bad_input_is_a_problem_document_and_leaves_nothing(
    trio: Trio, http: httpx.AsyncClient
) -> None:
    """RFC 9457: media type, status and title agree; no key is used up, no half effect."""
    for method, path, options, status in BAD:
        reply = await http.request(method, trio.service.url + path, **options)
        assert reply.status_code == status, (method, path, options)
        assert reply.headers["content-type"] == PROBLEM
        assert reply.json()["status"] == status
        assert "Traceback" not in reply.text
    assert trio.verdict() == NOTHING
    assert trio.course.value("SELECT count(*) FROM idempotency_key") == 0


# Deaths

DEATHS: list[tuple[StyleName, str]] = [
    ("long-transaction", "creating.written"),
    ("long-transaction", "creating.kept"),
    ("version-check", "creating.manager_added"),
    ("version-check", "creating.board_added"),
    ("commit-first", "creating.committed"),
    ("commit-first", "creating.board_added"),
    ("saga", "saga.begun"),
    ("saga", "saga.after.manager"),
    ("saga", "saga.after.show"),
    ("events", "creation.running"),
]


async def die_at(trio: Trio, http: httpx.AsyncClient, style: StyleName, point: str) -> str:
    """Ask a process that comes to `point`, and SIGKILL it there; the key."""
    key = f"{style}-{point}"
    victim = another(trio, stop_at=point)
    asking = asyncio.create_task(post(http, victim, key, style))
    await asyncio.to_thread(victim.process.wait_for, point)
    victim.process.kill()
    with pytest.raises(httpx.TransportError):
        await asking
    return key


async def test_course_is_whole_when_its_service_was_killed(
    trio: Trio, http: httpx.AsyncClient
) -> None:
    """SIGKILL at ten points of five styles; a client that comes again has its course, once."""
    keys = [await die_at(trio, http, style, point) for style, point in DEATHS]
    heir = another(trio, skew=60)  # for it the leases of the dead are over
    for key, (style, _) in zip(keys, DEATHS, strict=True):
        assert (await insist(http, heir, key, style)).is_success
    called = sorted(id_of(key) for key in keys if not key.startswith("events"))
    started = [id_of(key) for key in keys if key.startswith("events")]
    assert trio.verdict() == {**complete(*called), "pending": started}


async def test_creation_ends_without_its_client_when_the_service_starts_again(
    trio: Trio, http: httpx.AsyncClient
) -> None:
    """The saga goes on to its end, what was committed first is taken back."""
    saga = await die_at(trio, http, "saga", "saga.after.manager")
    await die_at(trio, http, "commit-first", "creating.manager_added")
    assert len(trio.verdict()["managers"]) == 2
    another(trio, lease=0.1)
    await until(lambda: trio.verdict() == complete(id_of(saga)), what="both to be ended")


# A database that is lost


@pytest.mark.parametrize("style", STYLES)
async def test_course_is_whole_when_the_line_to_the_database_was_cut(
    trio: Trio, http: httpx.AsyncClient, style: StyleName
) -> None:
    """Each statement in turn is done, and its reply lost: a problem, then a whole course."""
    with Scissors(trio.workspace.stack.postgres.port) as line:
        service = another(trio, dsn=make_conninfo(trio.course.dsn, port=line.port))
        keys = [key async for key in cut_at_each_reply(http, service, line, style)]
    assert line.faults == len(keys) - 1 > 5
    ids = sorted(map(id_of, keys))
    whole = {**NOTHING, "pending": ids} if style == "events" else complete(*ids)
    assert trio.verdict() == whole


async def cut_at_each_reply(
    http: httpx.AsyncClient, service: Service, line: Scissors, style: StyleName
) -> AsyncIterator[str]:
    """Cut at the first reply, then at the second, … until a creation needs no more; the keys."""
    for piece in itertools.count(1):
        key, before = f"{style}-{piece}", line.faults
        line.cut(piece)
        reply = await post(http, service, key, style)
        line.cut(0)
        yield key
        if line.faults == before:
            return
        if reply.is_error:
            assert reply.status_code in {500, 502, 503}
            assert reply.headers["content-type"] == PROBLEM
            assert "Traceback" not in reply.text
            await insist(http, service, key, style)


END_SAGAS = """
SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database ON database = pg_database.oid
WHERE locktype = 'advisory' AND datname = current_database()
"""


async def test_saga_ends_without_its_client_when_its_session_was_terminated(
    trio: Trio, http: httpx.AsyncClient
) -> None:
    """While it waits for the board, the session of its log is ended; the service takes it up."""
    trio.to_board.delay = 0.3
    asking = asyncio.create_task(trio.post(http, "key"))
    calling = "SELECT count(*) FROM saga_step WHERE (name, state) = ('board', 'started')"
    await until(lambda: trio.course.value(calling) == 1, what="the saga to call the board")
    trio.course.execute(END_SAGAS)
    assert (await asking).status_code == 500
    await until(lambda: trio.verdict() == complete(id_of("key")), what="the saga to end")


# Beside the requests


async def test_one_correlation_id_is_in_the_logs_of_all_services(
    trio: Trio, http: httpx.AsyncClient
) -> None:
    """One request, three services, one name."""
    for style in STYLES:
        headers = {HTTP_HEADER: f"lab-{style}", "Idempotency-Key": style}
        body = {"title": "사가 입문", "manager": "김담당", "style": style}
        await http.post(f"{trio.service.url}/courses", json=body, headers=headers)
        called = () if style == "events" else (trio.member, trio.board)
        for service in (trio.service, *called):
            log = await until(partial(service.logged, f"lab-{style}"), what="the log")
            assert [line["status"] for line in log] == [202 if style == "events" else 201]
    assert trio.course.value("SELECT correlation_id FROM outbox") == "lab-events"


def test_idle_services_use_no_processor_time(trio: Trio) -> None:
    """In a quiet second three services together use less than three hundredths of one core."""
    running = [psutil.Process(one.process.pid) for one in (trio.member, trio.board, trio.service)]

    def used() -> float:
        return sum(times.user + times.system for times in (one.cpu_times() for one in running))

    def used_in_a_second() -> float:
        before = used()
        time.sleep(1)  # what is measured, not waited for
        return used() - before

    # The first may still see the end of another test.
    assert any(used_in_a_second() < 0.035 for _ in range(5))
