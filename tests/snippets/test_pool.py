"""Pool and row lock around a remote call: what is held meanwhile, who waits, who is orphaned."""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import jsonschema
import pytest
from psycopg.errors import LockNotAvailable
from psycopg_pool import ConnectionPool, PoolTimeout
from running import Service

from handbook import paths
from handbook.lab import Proxy, Workspace, wait_until
from handbook.stack import Stack
from snippets import pool
from snippets.errors import CallError, InDoubt, Rejected, Retriable
from snippets.naive.hold_over_call import hold_over_call
from snippets.pool import Conflict, NotOpen, in_use, optimistic, release_first
from snippets.services.gateways import ParticipantSync, client_sync
from snippets.spans import Recorder, Span
from snippets.unit_of_work import UnitOfWork

pytestmark = pytest.mark.stack
SIZE, REQUESTS = 5, 20
Way = Callable[..., None]
# A lock is to be seen only by asking for it.
UNLOCKED = "SELECT count(*) FROM (SELECT FROM course FOR UPDATE SKIP LOCKED) AS free"
IN_TRANSACTION = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND state = 'idle in transaction'
"""
BY_WAY = {"c-1": hold_over_call, "c-2": optimistic, "c-3": release_first}
WAYS: list[Way] = list(BY_WAY.values())
FIRST_THREE = "SELECT id, manager, state FROM course WHERE id IN ('c-1', 'c-2', 'c-3') ORDER BY id"


@pytest.fixture(scope="module")
def home(stack: Stack) -> Iterator[Workspace]:
    """One database for all tests."""
    with contextlib.closing(Workspace.create(stack, "pool")) as made:
        made.execute(pool.CREATE_TABLE)
        yield made


@pytest.fixture
def courses(home: Workspace) -> Workspace:
    """One course for each request."""
    home.execute("TRUNCATE course")
    add = "INSERT INTO course (id) SELECT 'c-' || n FROM generate_series(1, %s) AS n"
    home.execute(add, (REQUESTS,))
    return home


@pytest.fixture
def connections(courses: Workspace) -> Iterator[ConnectionPool]:
    """A pool of five, all connected."""
    with pool.database(courses.dsn, size=SIZE) as opened:
        opened.wait()
        yield opened


@pytest.fixture
def manager(member: Service) -> Iterator[ParticipantSync]:
    """The member service, as a thread calls it."""
    with client_sync() as http:
        yield ParticipantSync(http, f"{member.url}/managers")


class Hanging:
    """A remote service that answers when it is told to: with nothing, or with `error`."""

    def __init__(self, error: CallError | None = None) -> None:
        self.error = error
        self.calls = 0
        self._counting = threading.Lock()
        self._answer = threading.Event()

    def __call__(self) -> None:
        """A call."""
        with self._counting:
            self.calls += 1
        assert self._answer.wait(60)
        if self.error is not None:
            raise self.error

    def answer(self) -> None:
        """All calls, also those to come."""
        self._answer.set()


@contextlib.contextmanager
def requests(
    connections: ConnectionPool, way: Way, remote: Hanging, *, count: int = 1, calls: int = 1
) -> Iterator[None]:
    """`count` requests, each for its own course, of which `calls` have called; then all end."""
    with ThreadPoolExecutor(count) as threads:
        ids = [f"c-{number}" for number in range(1, count + 1)]
        done = [threads.submit(way, connections, course, "김담당", remote) for course in ids]
        try:
            wait_until(lambda: remote.calls == calls, deadline=30, what=f"{calls} calls")
            yield
        finally:
            remote.answer()
        for request in done:
            request.result()


def other_query(connections: ConnectionPool, *, timeout: float) -> str:
    """What another request gets that needs the database and no remote service."""
    try:
        with connections.connection(timeout) as conn:
            conn.execute("SELECT 1")
    except PoolTimeout:
        return "PoolTimeout"
    return "ok"


def held(courses: Workspace, connections: ConnectionPool) -> dict[str, int]:
    """What all requests together hold now, as the pool and the server see it."""
    return {
        "connections": in_use(connections),
        "transactions": courses.value(IN_TRANSACTION),
        "locked rows": REQUESTS - courses.value(UNLOCKED),
    }


@pytest.mark.parametrize(
    ("way", "locked"), [(hold_over_call, SIZE), (optimistic, 0)], ids=["pessimistic", "optimistic"]
)
def test_other_queries_time_out_when_connections_wait_for_a_call(
    courses: Workspace, connections: ConnectionPool, way: Way, locked: int
) -> None:
    """Of 20 requests 5 wait with all connections; an optimistic lock frees the rows, not those."""
    with requests(connections, way, Hanging(), count=REQUESTS, calls=SIZE):
        meanwhile = held(courses, connections)
        other = other_query(connections, timeout=0.1)

    assert meanwhile == {"connections": SIZE, "transactions": SIZE, "locked rows": locked}
    assert other == "PoolTimeout"
    assert other_query(connections, timeout=30) == "ok"


def test_other_queries_pass_when_the_connection_is_released_first(
    courses: Workspace, connections: ConnectionPool
) -> None:
    """All 20 requests call at once, and hold nothing: 0 connections instead of 5."""
    with requests(connections, release_first, Hanging(), count=REQUESTS, calls=REQUESTS):
        meanwhile = held(courses, connections)
        other = other_query(connections, timeout=30)

    assert meanwhile == {"connections": 0, "transactions": 0, "locked rows": 0}
    assert other == "ok"


def test_manager_is_assigned_when_nothing_fails(
    courses: Workspace, connections: ConnectionPool
) -> None:
    """All three ways end alike, and give everything back."""
    called: list[str] = []

    for course, way in BY_WAY.items():
        way(connections, course, "김담당", partial(called.append, course))

    assert called == list(BY_WAY)
    assert courses.fetch(FIRST_THREE) == [(course, "김담당", "open") for course in BY_WAY]
    assert in_use(connections) == 0


@pytest.mark.parametrize("error", [Rejected("on leave"), Retriable("503")], ids=repr)
def test_course_is_as_before_when_the_call_did_nothing(
    courses: Workspace, connections: ConnectionPool, error: CallError
) -> None:
    """Refused there, nothing here; the course can be assigned anew."""
    remote = Hanging(error)
    remote.answer()

    for course, way in BY_WAY.items():
        with pytest.raises(type(error)):
            way(connections, course, "김담당", remote)
    assert courses.fetch(FIRST_THREE) == [(course, None, "open") for course in BY_WAY]

    for course, way in BY_WAY.items():
        way(connections, course, "이담당", lambda: None)
    assert courses.fetch(FIRST_THREE) == [(course, "이담당", "open") for course in BY_WAY]


@pytest.mark.parametrize("course", ["c-1", "unknown"])
def test_nobody_is_called_when_the_course_is_not_open(
    courses: Workspace, connections: ConnectionPool, course: str
) -> None:
    """Closed or unknown: refused before the other service does anything."""
    courses.execute("UPDATE course SET state = 'closed' WHERE id = 'c-1'")
    remote = Hanging()

    for way in WAYS:
        with pytest.raises(NotOpen):
            way(connections, course, "김담당", remote)

    assert remote.calls == 0


def closing(courses: Workspace, course_id: str) -> str:
    """Another request closes the course, if it gets the row at once."""
    with courses.connect(autocommit=False) as conn, UnitOfWork(conn) as unit:
        conn.execute("SET LOCAL lock_timeout = '50ms'")
        try:
            pool.close_course(conn, course_id)
        except LockNotAvailable:
            return "waits"
        except NotOpen:
            return "refused"
        unit.commit()
        return "closed"


def test_another_request_meets_a_lock_nothing_or_a_mark_during_the_call(
    courses: Workspace, connections: ConnectionPool
) -> None:
    """It waits for a pessimistic lock, passes an optimistic one, and is told of a mark at once."""
    answers = {}

    def call(course: str) -> None:
        answers[course] = closing(courses, course)

    for course, way in BY_WAY.items():
        with contextlib.suppress(Conflict):
            way(connections, course, "김담당", partial(call, course))

    assert answers == {"c-1": "waits", "c-2": "closed", "c-3": "refused"}
    assert courses.fetch(FIRST_THREE) == [
        ("c-1", "김담당", "open"),
        ("c-2", None, "closed"),
        ("c-3", "김담당", "open"),
    ]


def assign_all(
    courses: Workspace,
    connections: ConnectionPool,
    way: Way,
    manager: ParticipantSync,
    numbers: range = range(1, 7),
) -> list[str]:
    """Assign courses, every second of which is closed during the call; the ids of the conflicts."""
    conflicts = []
    for number in numbers:
        course = f"c-{number}"

        def call(course: str = course, *, close: bool = number % 2 == 0) -> None:
            manager.register(course, "김담당")
            if close:
                closing(courses, course)

        try:
            way(connections, course, "김담당", call)
        except Conflict:
            conflicts.append(course)
    return conflicts


def orphans(courses: Workspace, member: Service) -> list[str]:
    """Courses that have a manager at the member service, and none at home."""
    assigned = {row[0] for row in courses.fetch("SELECT id FROM course WHERE manager IS NOT NULL")}
    kept = member.database.fetch("SELECT course_id FROM registration ORDER BY course_id")
    return [course for (course,) in kept if course not in assigned]


def test_each_conflict_leaves_an_orphan_until_it_is_cancelled(
    courses: Workspace, connections: ConnectionPool, member: Service, manager: ParticipantSync
) -> None:
    """An optimistic lock says no after the call: 3 conflicts, 3 orphans; cancelled: 0."""
    conflicts = assign_all(courses, connections, optimistic, manager)

    assert conflicts == ["c-2", "c-4", "c-6"]
    assert orphans(courses, member) == conflicts
    for course in conflicts:
        manager.cancel(course)
    assert orphans(courses, member) == []


def test_no_orphan_is_left_when_the_course_is_locked_or_marked(
    courses: Workspace, connections: ConnectionPool, member: Service, manager: ParticipantSync
) -> None:
    """The others come too late, or are refused: nobody changes the course during the call."""
    assert assign_all(courses, connections, hold_over_call, manager, range(1, 5)) == []
    assert assign_all(courses, connections, release_first, manager, range(5, 9)) == []
    assert orphans(courses, member) == []


def test_mark_stays_when_the_reply_is_lost(
    courses: Workspace, connections: ConnectionPool, member: Service
) -> None:
    """In doubt nobody else may assign, until somebody has asked; a late end is then refused."""
    port = httpx.URL(member.url).port
    assert port is not None
    with Proxy(port) as proxy, client_sync() as http:
        proxy.drop_replies(1)
        lossy = ParticipantSync(http, f"{proxy.url}/managers")
        with pytest.raises(InDoubt):
            release_first(connections, "c-1", "김담당", lambda: lossy.register("c-1", "김담당"))
        assert proxy.faults == 1
    assert courses.fetch(FIRST_THREE)[0] == ("c-1", None, "assigning")
    assert orphans(courses, member) == ["c-1"]
    with pytest.raises(NotOpen):
        release_first(connections, "c-1", "이담당", lambda: None)


def test_late_end_is_refused_when_somebody_took_the_mark_away(
    courses: Workspace, connections: ConnectionPool
) -> None:
    """The version in the mark is the right to end it: not even the next mark is taken for it."""

    def call() -> None:
        courses.execute("UPDATE course SET version = version + 1 WHERE id = 'c-1'")

    with pytest.raises(Conflict):
        release_first(connections, "c-1", "김담당", call)

    assert courses.fetch(FIRST_THREE)[0] == ("c-1", None, "assigning")


def ticking(ms: float = 1.0) -> Callable[[], float]:
    """A clock that is so many milliseconds later each time it is read."""
    ticks = itertools.count()
    return lambda: next(ticks) * ms / 1000


def test_spans_lie_as_the_code_is_nested(courses: Workspace, connections: ConnectionPool) -> None:
    """Pessimistic: remote in lock in connection. Optimistic: lock after remote. Released: apart."""
    seen = {}
    for number, way in enumerate(WAYS, 1):
        recorder = Recorder(clock=ticking())
        way(connections, f"c-{number}", "김담당", lambda: None, watch=recorder.watch("요청 1"))
        seen[way.__name__] = [
            (span.what, span.outcome, span.from_ms, span.to_ms) for span in recorder.spans
        ]

    assert seen == {
        "hold_over_call": [
            ("conn", "waiting", 1, 2),
            ("conn", "commit", 3, 10),
            ("rowlock", "waiting", 4, 5),
            ("rowlock", "commit", 6, 9),
            ("remote", "ok", 7, 8),
        ],
        "optimistic": [
            ("conn", "waiting", 1, 2),
            ("conn", "commit", 3, 8),
            ("remote", "ok", 4, 5),
            ("rowlock", "commit", 6, 7),
        ],
        "release_first": [
            ("conn", "waiting", 1, 2),
            ("conn", "commit", 3, 6),
            ("rowlock", "commit", 4, 5),
            ("remote", "ok", 7, 8),
            ("conn", "waiting", 9, 10),
            ("conn", "commit", 11, 14),
            ("rowlock", "commit", 12, 13),
        ],
    }


@pytest.mark.parametrize(("shortest", "tick"), [(1, 0.9), (100, 99)])
def test_wait_is_left_out_when_it_is_shorter_than_the_limit(
    courses: Workspace, connections: ConnectionPool, shortest: float, tick: float
) -> None:
    """Every request asks for its connection; only who had to wait is shown waiting."""
    recorder = Recorder(shortest_wait=shortest, clock=ticking(tick))

    hold_over_call(connections, "c-1", "김담당", lambda: None, watch=recorder.watch("요청 1"))

    assert [(span.what, span.outcome) for span in recorder.spans] == [
        ("conn", "commit"),
        ("rowlock", "commit"),
        ("remote", "ok"),
    ]


def test_spans_keep_their_order_when_they_begin_in_one_millisecond(
    courses: Workspace, connections: ConnectionPool
) -> None:
    """Two runs list the same spans alike, however quick the machine is."""
    recorder = Recorder(shortest_wait=1000, clock=ticking(0.01))

    hold_over_call(connections, "c-1", "김담당", lambda: None, watch=recorder.watch("요청 1"))

    assert [span.what for span in recorder.spans] == ["conn", "rowlock", "remote"]
    assert {span.from_ms for span in recorder.spans} == {0}


def one(spans: list[Span], what: str, outcome: str, who: str = "요청 1") -> Span:
    """The only span of that kind."""
    (span,) = [s for s in spans if (s.who, s.what, s.outcome) == (who, what, outcome)]
    return span


def test_spans_tell_a_conflict(courses: Workspace, connections: ConnectionPool) -> None:
    """The lock is asked for after the call, which was for nothing."""
    recorder = Recorder()

    with pytest.raises(Conflict):
        optimistic(
            connections,
            "c-1",
            "김담당",
            lambda: closing(courses, "c-1"),
            watch=recorder.watch("요청 1"),
        )

    conn, lock = (one(recorder.spans, what, "conflict") for what in ("conn", "rowlock"))
    remote = one(recorder.spans, "remote", "ok")
    assert (
        conn.from_ms <= remote.from_ms <= remote.to_ms <= lock.from_ms <= lock.to_ms <= conn.to_ms
    )


def test_spans_fit_the_schema_when_a_call_hangs(courses: Workspace) -> None:
    """One connection: the second request waits for it as long as the first one's call lasts."""
    recorder, remote = Recorder(clock=ticking()), Hanging(InDoubt("no reply within 1 s"))

    with pool.database(courses.dsn, size=1) as single, ThreadPoolExecutor(2) as threads:
        first = threads.submit(
            hold_over_call, single, "c-1", "김담당", remote, watch=recorder.watch("요청 1")
        )
        wait_until(lambda: remote.calls == 1, what="the first call")
        second = threads.submit(
            hold_over_call, single, "c-2", "이담당", lambda: None, watch=recorder.watch("요청 2")
        )
        wait_until(lambda: single.get_stats()["requests_waiting"] == 1, what="the second request")
        remote.answer()
        assert isinstance(first.exception(), InDoubt)
        second.result()

    conn, lock, call = (one(recorder.spans, w, "timeout") for w in ("conn", "rowlock", "remote"))
    waited, got = (one(recorder.spans, "conn", o, "요청 2") for o in ("waiting", "commit"))
    assert conn.from_ms <= lock.from_ms <= call.from_ms <= waited.from_ms
    assert call.to_ms <= lock.to_ms <= conn.to_ms <= waited.to_ms <= got.from_ms
    schema = json.loads((paths.DATA / "schema" / "spans.schema.json").read_text(encoding="utf-8"))
    strips = [{"title": "원격 서비스가 멈춤", "spans": recorder.as_data()}]
    recording = {"lab": "08-pool-and-locks", "name": "spans", "strips": strips}
    jsonschema.Draft202012Validator(schema).validate(recording)


def test_spans_tell_who_got_no_connection(courses: Workspace) -> None:
    """Who gave up waiting never held it, unlike the request whose call came to its time-out."""
    recorder = Recorder()

    with pool.database(courses.dsn, size=1, timeout=0.1) as single:
        single.wait(30)
        with (
            single.connection(30),
            pytest.raises(PoolTimeout),
            pool.connection(single, recorder.watch("다른 조회")),
        ):
            pass

    assert [(span.who, span.what, span.outcome) for span in recorder.spans] == [
        ("다른 조회", "conn", "starved")
    ]


def test_pool_is_refused_when_it_has_no_connection() -> None:
    """Zero connections would serve nobody."""
    with pytest.raises(ValueError, match="max_size"):
        pool.database("", size=0)
