"""The services over real HTTP: idempotent writes, batches, problems, health, shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import sql
from running import Service, start

from handbook.lab import Workspace, until
from handbook.lab.database import tooling
from snippets.correlation import HTTP_HEADER

pytestmark = pytest.mark.stack
KIM = {"name": "김담당"}


async def test_repeat_changes_nothing_when_the_reply_was_lost(
    member: Service, http: httpx.AsyncClient
) -> None:
    """The same call again says 200 instead of 201, and there is one row."""
    url = f"{member.url}/managers/c-1"
    codes = [(await http.put(url, json=KIM)).status_code for _ in range(3)]
    assert codes == [201, 200, 200]
    assert (await http.get(url)).json() == {"course_id": "c-1", **KIM}
    assert member.database.value("SELECT count(*) FROM registration") == 1


async def test_one_row_is_made_when_the_same_call_comes_eight_times_at_once(
    member: Service, http: httpx.AsyncClient
) -> None:
    """Whoever comes first gets 201, all others 200."""
    url = f"{member.url}/managers/c-1"
    replies = await asyncio.gather(*(http.put(url, json=KIM) for _ in range(8)))
    assert sorted(reply.status_code for reply in replies) == [200] * 7 + [201]


async def test_late_create_is_refused_when_the_cancel_came_first(
    board: Service, http: httpx.AsyncClient
) -> None:
    """Cancelling what is not there succeeds, and the course stays cancelled."""
    url = f"{board.url}/boards/c-1"
    assert (await http.delete(url)).status_code == 204
    assert (await http.put(url, json={"name": "공지"})).status_code == 410
    assert (await http.delete(url)).status_code == 204
    assert board.database.value("SELECT count(*) FROM registration") == 0


async def test_refusals_say_why_when_the_business_says_no(
    member: Service, http: httpx.AsyncClient
) -> None:
    """Another name is a conflict, somebody on leave is rejected; nothing is written."""
    member.database.execute("INSERT INTO on_leave VALUES ('이휴가')")
    url = f"{member.url}/managers/c-1"
    rejected = await http.put(url, json={"name": "이휴가"})
    assert (rejected.status_code, rejected.json()["detail"]) == (422, "이휴가 is on leave")
    await http.put(url, json=KIM)
    assert (await http.put(url, json={"name": "박담당"})).status_code == 409
    assert member.database.fetch("SELECT name FROM registration") == [("김담당",)]


async def test_batch_reports_what_is_missing_when_ids_are_unknown(
    member: Service, http: httpx.AsyncClient
) -> None:
    """In the order asked, without repeats."""
    for course in ("c-1", "c-3"):
        await http.put(f"{member.url}/managers/{course}", json=KIM)
    answer = await http.get(f"{member.url}/managers", params={"ids": "c-3,c-2,c-1,c-3"})
    assert answer.json() == {
        "rows": [{"course_id": "c-3", **KIM}, {"course_id": "c-1", **KIM}],
        "missing": ["c-2"],
    }


JSON = {"Content-Type": "application/json"}
BAD: list[tuple[str, str, dict[str, Any], int]] = [
    ("PUT", "/managers/c-1", {"content": "{", "headers": JSON}, 400),
    ("PUT", "/managers/c-1", {"content": "name=a"}, 415),
    ("PUT", "/managers/c-1", {"json": {"name": "a", "more": 1}}, 422),
    ("PUT", "/managers/c-1", {"json": {"name": 7}}, 422),
    ("PUT", "/managers/c-1", {"json": {"name": ""}}, 422),
    ("PUT", "/managers/c-1", {"json": []}, 422),
    ("PUT", "/managers/c-1", {"json": {"name": "a" * 70_000}}, 413),
    ("PUT", "/managers/c-1", {"json": {"name": "a\x00b"}}, 422),
    ("PUT", "/managers/c-1", {"json": {"name": " a"}}, 422),
    ("PUT", "/managers/c-1", {"json": {"name": "a\n"}}, 422),
    ("PUT", "/managers/c-1", {"content": '{"name": "\\ud800"}', "headers": JSON}, 400),
    ("PUT", "/managers/c-1", {"content": b'{"name": "\xff"}', "headers": JSON}, 400),
    ("PUT", "/managers/c-1", {"content": "[" * 60_000, "headers": JSON}, 422),
    ("PUT", "/managers/not%20an%20id", {"json": KIM}, 400),
    ("PUT", "/managers/c-1%0A", {"json": KIM}, 400),
    ("DELETE", "/managers/c%00", {}, 400),
    ("GET", "/managers/c-404", {}, 404),
    ("GET", "/managers", {}, 400),
    ("GET", "/managers", {"params": {"ids": "a,,b"}}, 400),
    ("GET", "/managers", {"params": {"ids": "a\x00,b"}}, 400),
    ("GET", "/managers", {"params": {"ids": ",".join(map(str, range(101)))}}, 400),
    ("GET", "/managers", {"params": {"ids": ",".join(map(str, range(2_500)))}}, 414),
    ("POST", "/managers/c-1", {"json": KIM}, 405),
    ("GET", "/nowhere", {}, 404),
]


async def test_bad_input_is_a_problem_document_and_leaves_nothing(
    member: Service, http: httpx.AsyncClient
) -> None:
    """RFC 9457: media type, status and title agree; no row, no stack trace, still ready."""
    for method, path, options, status in BAD:
        reply = await http.request(method, member.url + path, **options)
        assert reply.status_code == status, (method, path)
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.json()["status"] == status
        assert "Traceback" not in reply.text
    assert member.database.value("SELECT count(*) FROM registration") == 0
    assert (await http.get(f"{member.url}/health/ready")).status_code == 200


def raw(service: Service, request: str) -> str:
    """The reply to what no HTTP client would send."""
    address = httpx.URL(service.url)
    assert address.port is not None
    with socket.create_connection((address.host, address.port), timeout=10) as line:
        with contextlib.suppress(ConnectionError):  # it does not wait for the end
            line.sendall(request.encode())
        return line.recv(4096).decode()


IDS = ",".join(f"course-{number}" for number in range(10_000))


@pytest.mark.parametrize(
    ("request_text", "statuses"),
    [
        ("HELLO\r\n\r\n", {"400"}),
        (f"GET /managers?ids={IDS[:20_000]}", {"400"}),  # and nothing more
        (f"GET /managers?ids={IDS} HTTP/1.1\r\nHost: x\r\n\r\n", {"400", "414"}),
    ],
    ids=["no HTTP", "no end", "10,000 ids"],
)
def test_what_cannot_be_read_is_a_problem_document_too(
    member: Service, request_text: str, statuses: set[str]
) -> None:
    """The server answers, before the application sees anything; it goes on serving."""
    reply = raw(member, request_text)
    assert reply.split()[1] in statuses
    assert "application/problem+json" in reply
    assert raw(member, "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n").startswith("HTTP/1.1 200")


async def test_refused_method_is_told_what_is_allowed(
    member: Service, http: httpx.AsyncClient
) -> None:
    """All methods of the path, not only those of the first route."""
    reply = await http.post(f"{member.url}/managers/c-1", json=KIM)
    assert sorted(reply.headers["allow"].split(", ")) == ["DELETE", "GET", "HEAD", "PUT"]


async def test_repeat_is_not_judged_again_when_the_rule_has_changed(
    member: Service, http: httpx.AsyncClient
) -> None:
    """Who went on leave after the first call: the repeat has the reply of the first."""
    url = f"{member.url}/managers/c-1"
    await http.put(url, json=KIM)
    member.database.execute("INSERT INTO on_leave VALUES ('김담당')")
    assert (await http.put(url, json=KIM)).status_code == 200
    assert (await http.put(f"{member.url}/managers/c-2", json=KIM)).status_code == 422
    assert member.database.fetch("SELECT course_id FROM registration") == [("c-1",)]


async def test_correlation_id_is_kept_when_it_is_safe_and_made_when_not(
    member: Service, http: httpx.AsyncClient
) -> None:
    """It is in the reply and in the log, where nothing can be smuggled in."""
    url = f"{member.url}/managers/c-1"
    kept = await http.get(url, headers={HTTP_HEADER: "lab-07"})
    made = await http.get(url, headers={HTTP_HEADER: "a b{}"})
    assert kept.headers[HTTP_HEADER] == "lab-07"
    assert made.headers[HTTP_HEADER] != "a b{}"

    lines = await until(lambda: member.logged("lab-07"), what="the log line")
    facts = {key: lines[0][key] for key in ("correlation_id", "method", "path", "status")}
    expected = {"correlation_id": "lab-07", "method": "GET", "path": "/managers/c-1", "status": 404}
    assert facts == expected
    assert "a b{}" not in member.process.output


async def test_request_ends_when_the_database_does_not_answer(
    workspace: Workspace, http: httpx.AsyncClient
) -> None:
    """A lock that nobody releases costs the caller the time-out, then a 504: the end is unknown."""
    member = start(workspace, "member", limit=0.5)
    with member.database.connect(autocommit=False) as conn:
        conn.execute("LOCK TABLE tombstone IN ACCESS EXCLUSIVE MODE")
        reply = await http.put(f"{member.url}/managers/c-1", json=KIM)
        conn.rollback()
    assert reply.status_code == 504
    assert (await http.put(f"{member.url}/managers/c-1", json=KIM)).status_code == 201


async def test_service_is_not_ready_when_its_database_is_gone(
    workspace: Workspace, http: httpx.AsyncClient
) -> None:
    """Live, because a restart would not help; not ready, because nothing can be served."""
    member = start(workspace, "member", limit=2)
    name = member.database.value("SELECT current_database()")
    with tooling(workspace.stack.postgres) as conn:
        conn.execute(
            sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(name))
        )
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
        )
        assert (await http.get(f"{member.url}/health/live")).json() == {"status": "live"}
        assert (await http.get(f"{member.url}/health/ready")).status_code == 503
        conn.execute(
            sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(sql.Identifier(name))
        )

    async def is_ready() -> bool:
        return (await http.get(f"{member.url}/health/ready")).status_code == 200

    await until(is_ready, what="the service to be ready again")


async def test_request_is_answered_when_the_service_is_told_to_stop(
    member: Service, http: httpx.AsyncClient
) -> None:
    """What is under way ends well, then the process ends with code 0."""
    with member.database.connect(autocommit=False) as conn:
        conn.execute("LOCK TABLE registration IN ACCESS EXCLUSIVE MODE")
        calling = asyncio.create_task(http.put(f"{member.url}/managers/c-1", json=KIM))
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND database ="
        waiting += " (SELECT oid FROM pg_database WHERE datname = current_database())"
        await until(lambda: member.database.value(waiting), what="the request to wait")
        stopping = asyncio.create_task(asyncio.to_thread(member.process.stop))
        conn.rollback()
    assert (await calling).status_code == 201
    await stopping
    assert member.process.returncode == 0


def test_role_of_a_service_is_refused_when_it_opens_another_database(
    member: Service, board: Service
) -> None:
    """Own database, own role: the other one cannot even be connected to."""
    other = board.database.value("SELECT current_database()")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(psycopg.conninfo.make_conninfo(member.database.dsn, dbname=other))
