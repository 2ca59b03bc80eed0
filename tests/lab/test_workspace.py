"""Claims of `handbook.lab.workspace`: what is a lab's own, what it cannot touch, what is swept."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from handbook.errors import StackError, UsageError
from handbook.lab import Child, Workspace, runs, until, wait_until
from handbook.lab.child import ChildFailedError
from handbook.lab.database import tooling
from handbook.lab.workspace import sweep
from handbook.stack import Kafka, Stack

pytestmark = pytest.mark.stack


@pytest.fixture
def other(stack: Stack) -> Iterator[Workspace]:
    """The workspace of somebody else."""
    with contextlib.closing(Workspace.create(stack, "other")) as made:
        yield made


def leftovers(stack: Stack, run_id: str) -> list[str]:
    """Databases and roles that hold the id of a run."""
    query = """
        SELECT datname FROM pg_database WHERE position(%(id)s IN datname) > 0
        UNION ALL SELECT rolname FROM pg_roles WHERE position(%(id)s IN rolname) > 0
    """
    with tooling(stack.postgres) as conn:
        return [name for (name,) in conn.execute(query, {"id": run_id})]


async def topics(stack: Stack, run_id: str) -> list[str]:
    """Topics that hold the id of a run."""
    admin = AIOKafkaAdminClient(**stack.kafka.client())
    await admin.start()
    try:
        return [name for name in await admin.list_topics() if run_id in name]
    finally:
        await admin.close()


def refused(dsn: str, database: str) -> str:
    """Why the role of `dsn` may not open `database`."""
    with pytest.raises(psycopg.OperationalError) as error, psycopg.connect(dsn, dbname=database):
        pass
    return str(error.value)


# PostgreSQL


def test_app_role_makes_what_it_needs_when_in_its_own_database(workspace: Workspace) -> None:
    """The app role owns its schema: tables, rows, questions."""
    workspace.execute("CREATE TABLE course (id int PRIMARY KEY, title text)")
    workspace.execute("INSERT INTO course VALUES (%s, %s), (2, 'SQL')", (1, "MSA"))
    assert workspace.fetch("SELECT id, title FROM course ORDER BY id") == [(1, "MSA"), (2, "SQL")]
    assert workspace.value("SELECT count(*) FROM course WHERE id > %(id)s", {"id": 1}) == 1
    assert workspace.value("SELECT title FROM course WHERE id = 3") is None


async def test_sessions_of_both_kinds_are_the_app_roles_when_connected(
    workspace: Workspace,
) -> None:
    """`connect` and `aconnect` are in autocommit mode, unless told otherwise."""
    with workspace.connect() as conn:
        assert conn.autocommit
    async with await workspace.aconnect(autocommit=False) as aconn:
        assert not aconn.autocommit
        cursor = await aconn.execute("SELECT current_user = current_database()")
        assert await cursor.fetchone() == (True,)


def test_app_role_is_refused_when_it_opens_another_database(
    workspace: Workspace, other: Workspace
) -> None:
    """Neither another lab's database, nor `postgres`, nor a template opens."""
    theirs = other.value("SELECT current_database()")
    for database in (theirs, "postgres", "template1"):
        assert f'permission denied for database "{database}"' in refused(workspace.dsn, database)


@pytest.mark.parametrize(
    "statement",
    ["CREATE DATABASE more", "CREATE ROLE more", "ALTER SYSTEM SET work_mem = '1GB'"],
)
def test_app_role_is_refused_when_it_reaches_beyond_its_database(
    workspace: Workspace, statement: str
) -> None:
    """The role can make no databases or roles and change no settings: 42501."""
    with workspace.connect() as conn, pytest.raises(psycopg.errors.InsufficientPrivilege) as error:
        conn.execute(statement.encode())
    assert error.value.sqlstate == "42501"


def test_another_role_reads_nothing_when_nothing_was_granted(workspace: Workspace) -> None:
    """`role` gives a login that may connect here and owns nothing; asked again, the same one."""
    workspace.execute("CREATE TABLE secret (n int)")
    dsn = workspace.role("reader")
    with psycopg.connect(dsn) as conn:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("SELECT n FROM secret")
        conn.rollback()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("CREATE TABLE mine (n int)")
    assert workspace.role("reader") == dsn
    assert "permission denied" in refused(dsn, "postgres")


def test_services_are_apart_when_each_has_a_database(workspace: Workspace) -> None:
    """The database of one service does not open for the role of another."""
    course, member = workspace.database("course"), workspace.database("member")
    course.execute("CREATE TABLE t (n int)")
    assert member.value("SELECT to_regclass('t')") is None
    assert "permission denied" in refused(member.dsn, course.name)


def test_a_broken_session_is_explained_and_replaced_when_the_server_ended_it(
    workspace: Workspace, stack: Stack
) -> None:
    """When the server ends the session the next question says so, and the one after works."""
    pid = workspace.value("SELECT pg_backend_pid()")
    with tooling(stack.postgres) as conn:
        conn.execute("SELECT pg_terminate_backend(%s)", (pid,))
    with pytest.raises(StackError, match=r"PostgreSQL at .* does not answer"):
        workspace.value("SELECT 1")
    assert workspace.value("SELECT 1") == 1


def test_other_errors_of_the_database_are_left_as_they_are(workspace: Workspace) -> None:
    """A timeout or a lock error is the lab's subject and keeps its SQLSTATE."""
    workspace.execute("SET statement_timeout = '20ms'")
    with pytest.raises(psycopg.errors.QueryCanceled) as error:
        workspace.value("SELECT pg_sleep(5)")
    assert error.value.sqlstate == "57014"


def test_the_message_names_the_server_when_it_cannot_be_reached(stack: Stack) -> None:
    """A workspace on a dead PostgreSQL is one clear error, and leaves no run behind."""
    gone = dataclasses.replace(stack, postgres=dataclasses.replace(stack.postgres, port=1))
    workspace = Workspace.create(gone, "test")
    with pytest.raises(StackError, match=r":1 does not answer.*refused[\s\S]*handbook up"):
        workspace.execute("SELECT 1")
    workspace.close()
    assert not (runs.folder() / f"{workspace.run_id}.lock").exists()


# services


def answers(url: str) -> bytes:
    """What a service sends to whoever connects."""
    where = urlsplit(url)
    with socket.create_connection((where.hostname or "", where.port or 0), timeout=5) as line:
        return line.recv(100)


def test_service_answers_from_its_database_when_it_is_served(workspace: Workspace) -> None:
    """`serve` returns when the service listens, each on a port and a database of its own."""
    course = workspace.serve("lab_targets:listen", name="course", greeting="과정")
    member = workspace.serve("lab_targets:listen", name="member", greeting="멤버")

    assert answers(course.url).decode() == f"과정 {course.database.name}"
    assert answers(member.url).decode() == f"멤버 {member.database.name}"
    assert course.database is workspace.database("course")
    assert course.url != member.url


def test_service_uses_the_given_database_and_port_again_when_it_is_restarted(
    workspace: Workspace,
) -> None:
    """A killed service comes back where its callers look for it."""
    shared = workspace.database("shared")
    served = workspace.serve("lab_targets:listen", name="course", database=shared, greeting="과정")

    served.process.kill()
    served.process.restart()
    served.process.wait_for("service.ready")

    assert answers(served.url).decode() == f"과정 {shared.name}"


def test_serve_says_why_when_the_service_does_not_come_up(workspace: Workspace) -> None:
    """A service that dies at once is an error with its last lines; a typo starts nothing."""
    with pytest.raises(ChildFailedError, match=r"before it came to `service\.ready`[\s\S]*no port"):
        workspace.serve("lab_targets:refuse_to_listen", name="course")
    with pytest.raises(UsageError, match="cannot be called with dsn, port, greetings"):
        workspace.serve("lab_targets:listen", name="course", greetings="과정")


# Kafka


async def test_topic_has_leaders_when_it_is_returned(workspace: Workspace, stack: Stack) -> None:
    """A producer can send to every partition of a new topic at once."""
    name = workspace.topic("events", partitions=5)
    assert workspace.topic("events") == name
    admin = AIOKafkaAdminClient(**workspace.kafka)
    await admin.start()
    try:
        (found,) = await admin.describe_topics([name])
    finally:
        await admin.close()
    assert [p["leader"] >= 0 for p in found["partitions"]] == [True] * 5


async def test_records_are_all_committed_ones_when_transactions_end_either_way(
    workspace: Workspace,
) -> None:
    """`records` reads to the end, without aborted and open transactions, in order of place."""
    name = workspace.topic("events", partitions=2)
    producer = AIOKafkaProducer(**workspace.kafka, transactional_id=name)
    await producer.start()
    try:
        async with producer.transaction():
            await producer.send_and_wait(name, b"b", b"2", partition=1, headers=[("h", b"x")])
            await producer.send_and_wait(name, b"1", None, partition=0)
        with contextlib.suppress(ZeroDivisionError):
            async with producer.transaction():
                await producer.send_and_wait(name, b"aborted", partition=0)
                raise ZeroDivisionError
        assert [(r.partition, r.key, r.value, r.headers) for r in workspace.records("events")] == [
            (0, None, b"1", {}),
            (1, "2", b"b", {"h": "x"}),
        ]
        await producer.begin_transaction()
        await producer.send_and_wait(name, b"open", partition=1)
        assert len(workspace.records("events")) == 2
        await producer.abort_transaction()
    finally:
        await producer.stop()


async def test_records_show_a_tombstone_when_the_value_is_null(workspace: Workspace) -> None:
    """A tombstone has an empty value and says what it is."""
    name = workspace.topic("events", partitions=1)
    async with AIOKafkaProducer(**workspace.kafka) as producer:
        await producer.send_and_wait(name, None, b"k")
    (record,) = workspace.records("events")
    assert (record.key, record.value, record.tombstone) == ("k", b"", True)


async def test_records_are_complete_when_there_are_many(workspace: Workspace) -> None:
    """Ten thousand messages over three partitions come back, each once."""
    name = workspace.topic("events")
    async with AIOKafkaProducer(**workspace.kafka) as producer:
        for number in range(10_000):
            await producer.send(name, str(number).encode(), partition=number % 3)
    values = [int(record.value) for record in workspace.records("events")]
    assert sorted(values) == list(range(10_000))


def test_records_refuses_a_topic_when_the_workspace_did_not_make_it(workspace: Workspace) -> None:
    """An unknown topic is named, where a consumer would wait for ever."""
    workspace.topic("events")
    with pytest.raises(UsageError, match=r"no topic `event`[\s\S]*known: events"):
        workspace.records("event")


def test_the_message_names_the_broker_when_it_cannot_be_reached(stack: Stack) -> None:
    """A topic on a dead Kafka is one clear error."""
    workspace = Workspace.create(dataclasses.replace(stack, kafka=Kafka("127.0.0.1:1")), "test")
    with pytest.raises(StackError, match=r"Kafka at 127.0.0.1:1 did not create topic"):
        workspace.topic("events")
    workspace.close()


# its end


async def test_nothing_is_left_when_a_workspace_was_closed(stack: Stack) -> None:
    """Database, roles, topics, children and the mark of the run are gone; sessions are cut."""
    workspace = Workspace.create(stack, "test")
    workspace.role("reader")
    workspace.database("course")
    workspace.topic("events")
    child = workspace.start("lab_targets:tick")
    with workspace.connect() as conn:
        workspace.close()
        with pytest.raises(psycopg.OperationalError):
            conn.execute("SELECT 1")
    workspace.close()
    assert leftovers(stack, workspace.run_id) == []
    assert not child.alive
    assert not (runs.folder() / f"{workspace.run_id}.lock").exists()

    async def no_topics() -> bool:
        return await topics(stack, workspace.run_id) == []

    await until(no_topics, what="the deletion of the topics")


async def test_leftovers_of_a_killed_process_are_swept_and_live_ones_kept(
    stack: Stack, other: Workspace
) -> None:
    """After SIGKILL of a process the next sweep removes all of its lab, and nothing else."""
    other.execute("CREATE TABLE kept (n int)")
    owner = Child("lab_owner:own_a_lab")
    wait_until(lambda: owner.reached or not owner.alive, deadline=60, what="the lab")
    assert owner.reached, owner.output
    run_id, *pids = owner.reached[0].split()
    assert run_id not in sweep(stack)
    assert len(leftovers(stack, run_id)) == 3  # a database and two roles
    owner.kill()
    assert run_id in sweep(stack)
    assert leftovers(stack, run_id) == []

    async def no_topics() -> bool:
        return await topics(stack, run_id) == []

    await until(no_topics, what="the deletion of the topics")
    assert other.value("SELECT count(*) FROM kept") == 0
    assert len(pids) == 2


def test_a_run_is_not_swept_when_it_belongs_to_other_servers(stack: Stack) -> None:
    """Leftovers of a stack that is not this one are left to a lab on that stack."""
    elsewhere = dataclasses.replace(stack, kafka=Kafka("elsewhere:9092"))
    run = runs.begin(elsewhere)
    run.release()
    assert run.id not in sweep(stack)
    assert [found.id for found in runs.dead(elsewhere) if found.id == run.id] == [run.id]
    run.end()


def test_a_name_is_refused_when_it_cannot_be_part_of_a_database_name(stack: Stack) -> None:
    """The message says what a name may hold."""
    with pytest.raises(UsageError, match="lower-case"):
        Workspace.create(stack, "Lab; DROP")
