"""Compensation by difference, the irrevocable last, checks first; each with its naive twin."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from uuid import UUID, uuid4

import pytest
from campuses import COURSE, ONCE, Campuses

from handbook.lab import Database, Workspace
from handbook.lab.kafka import Record
from snippets import compensation, inbox, outbox, saga
from snippets.commutative import Change, NotEnough, apply
from snippets.compensation import Work, undo
from snippets.errors import Rejected
from snippets.naive import mail_first, restore_old_value, validate_late
from snippets.relay import Relay, producer_for
from snippets.saga import Coordinator, Outcome
from snippets.services import admission
from snippets.services.admission import Admission
from snippets.services.mailer import Mail, on_admitted

pytestmark = pytest.mark.stack
REQUESTS, INVALID = 10, 3
MEMBERS = [f"멤버-{n}" if n % 3 else f"없는-{n}" for n in range(1, REQUESTS + 1)]


@dataclass(frozen=True)
class Topic:
    """Its name, what is in it, and how to reach it."""

    name: str
    records: Callable[[], list[Record]]
    kafka: dict[str, Any]


# E17: by difference, not by old value


@pytest.fixture
def both(shared: Workspace) -> Campuses:
    """Seoul has twenty free seats, Busan none."""
    return Campuses.make(shared, 20, 0)


@pytest.fixture
def seoul(shared: Workspace) -> Database:
    """A campus with ten free seats."""
    made = Campuses.make(shared, 10, 0).seoul
    made.execute(restore_old_value.CREATE_TABLE)
    return made


def free(seoul: Database) -> int:
    """The free seats."""
    return int(seoul.value("SELECT free FROM seats"))


async def test_other_change_is_erased_when_old_value_is_restored(seoul: Database) -> None:
    """A saga adds five, somebody adds ten, the saga is compensated: ten seats, not twenty."""
    change = Change(uuid4(), COURSE, 5)
    async with await seoul.aconnect() as conn:
        await restore_old_value.apply(conn, change)
        await apply(conn, Change(uuid4(), COURSE, 10))
        await restore_old_value.undo(conn, change)
    assert free(seoul) == 10


async def test_other_change_is_kept_when_the_delta_is_taken_back(seoul: Database) -> None:
    """The same three steps: the ten that somebody added are there, the five are not."""
    change = Change(uuid4(), COURSE, 5)
    async with await seoul.aconnect() as conn:
        await apply(conn, change)
        await apply(conn, Change(uuid4(), COURSE, 10))
        assert await undo(conn, change)
        assert not await undo(conn, change)
    assert free(seoul) == 20


async def test_undo_is_refused_when_the_seats_are_taken(seoul: Database) -> None:
    """It changes nothing, and may be called again when there are seats."""
    change = Change(uuid4(), COURSE, 5)
    async with await seoul.aconnect() as conn:
        await apply(conn, change)
        await apply(conn, Change(uuid4(), COURSE, -12))
        with pytest.raises(NotEnough):
            async with conn.transaction():
                await undo(conn, change)
        await apply(conn, Change(uuid4(), COURSE, 2))
        assert await undo(conn, change)
    assert free(seoul) == 0


# E18: what cannot be undone comes last


@pytest.fixture
def office(shared: Workspace) -> Database:
    """The admission service's database: seven members are known, three are not."""
    made = shared.database("office")
    for table in (admission, outbox, inbox, saga):
        made.execute(table.CREATE_TABLE)
    made.execute("TRUNCATE member, admission, outbox, inbox, saga CASCADE")
    known = [member for member in MEMBERS if member.startswith("멤버")]
    made.execute("INSERT INTO member SELECT unnest(%s::text[])", [known])
    return made


@pytest.fixture
def topic(shared: Workspace) -> Topic:
    """A topic of this test's own."""
    alias = f"admitted-{uuid4()}"
    return Topic(shared.topic(alias), lambda: shared.records(alias), shared.kafka)


class Provider:
    """Sends mails; one with a known key it has sent already."""

    def __init__(self) -> None:
        self.sent: dict[str, Mail] = {}

    async def __call__(self, mail: Mail) -> None:
        """Send."""
        self.sent.setdefault(mail.key, mail)

    def false(self, office: Database) -> list[str]:
        """Who has it in writing, and is on no list."""
        admitted = {row[0] for row in office.fetch("SELECT member FROM admission")}
        return [mail.to for mail in self.sent.values() if mail.to not in admitted]


async def admit_all(one: Callable[[Admission], Awaitable[None]]) -> int:
    """Admit everybody; how many commits failed."""
    failed = 0
    for member in MEMBERS:
        try:
            await one(Admission(uuid4(), COURSE, member))
        except Rejected:
            failed += 1
    return failed


async def test_each_failed_commit_is_a_false_mail_when_sent_first(
    office: Database,
) -> None:
    """Ten mails, three failed commits, three people who believe that they are admitted."""
    provider = Provider()
    async with await office.aconnect() as conn:
        failed = await admit_all(lambda one: mail_first.admit(conn, provider, one))
    assert (len(provider.sent), failed) == (REQUESTS, INVALID)
    assert provider.false(office) == [m for m in MEMBERS if m.startswith("없는")]


async def deliver(office: Database, topic: Topic, provider: Provider) -> None:
    """Relay, then let the mailer handle every delivery twice."""
    async with await office.aconnect() as conn, producer_for(topic.kafka) as producer:
        relay = Relay(conn, producer)
        while await relay.step():
            pass
        for record in topic.records() * 2:
            event_id = UUID(record.headers["event-id"])
            await on_admitted(conn, event_id, json.loads(record.value), provider)


async def test_no_mail_is_false_when_it_waits_in_the_outbox(office: Database, topic: Topic) -> None:
    """The same ten requests: seven mails, one for each member who is on the list."""
    provider = Provider()
    async with await office.aconnect() as conn:
        failed = await admit_all(lambda one: admission.admit(conn, topic.name, one))
        await deliver(office, topic, provider)
    assert (len(provider.sent), failed) == (REQUESTS - INVALID, INVALID)
    assert provider.false(office) == []
    assert {mail.text for mail in provider.sent.values()} == {f"입과 확정: {COURSE}"}


async def test_mail_is_sent_once_when_the_request_is_repeated(
    office: Database, topic: Topic
) -> None:
    """The second call finds its row, and leaves no second event."""
    provider = Provider()
    one = Admission(uuid4(), COURSE, MEMBERS[0])
    async with await office.aconnect() as conn:
        for _ in range(2):
            await admission.admit(conn, topic.name, one)
    assert office.value("SELECT count(*) FROM outbox") == 1
    await deliver(office, topic, provider)
    assert [mail.to for mail in provider.sent.values()] == [MEMBERS[0]]


async def test_mail_has_the_same_key_when_the_mailer_dies_after_sending(office: Database) -> None:
    """The inbox row was not committed: it sends again, and the provider knows the key."""
    provider, keys = Provider(), list[str]()
    facts = {"member": MEMBERS[0], "course_id": COURSE}

    async def die(mail: Mail) -> None:
        keys.append(mail.key)
        await provider(mail)
        raise ConnectionError

    event_id = uuid4()
    async with await office.aconnect() as conn:
        with pytest.raises(ConnectionError):
            await on_admitted(conn, event_id, facts, die)
        assert await on_admitted(conn, event_id, facts, provider)
    assert list(provider.sent) == keys == [str(event_id)]


# E19: checks come first


async def request_all(
    both: Campuses, office: Database, way: ModuleType
) -> tuple[list[object], int]:
    """Ten requests by one of two ways; how they ended, and how often something was undone."""
    async with both.open() as (seoul, _), await office.aconnect() as conn:
        work = admission.work(seoul, conn, "admitted")
        coordinator = Coordinator(conn, policy=ONCE)
        ends = [await request(way.run, coordinator, work, member) for member in MEMBERS]
    admitted = office.fetch("SELECT member FROM admission ORDER BY member")
    assert admitted == [(m,) for m in sorted(MEMBERS) if m.startswith("멤버")]
    assert both.free() == (20 - len(admitted), 0)
    return ends, both.seoul.value("SELECT count(*) FROM seat_change WHERE undone")


async def request(run: Any, coordinator: Coordinator, work: Work, member: str) -> object:
    """One request: its outcome, or the error that it was refused with."""
    saga_id = uuid4()
    data = {"id": str(saga_id), "course_id": COURSE, "seats": 1, "member": member}
    try:
        return await run(coordinator, work, saga_id, data)
    except Rejected as error:
        return type(error)


async def test_invalid_requests_are_undone_when_checks_come_last(
    both: Campuses, office: Database
) -> None:
    """Three of ten took a seat that nobody was to have, and gave it back."""
    ends, undone = await request_all(both, office, validate_late)
    assert (ends.count(Outcome.DONE), ends.count(Outcome.COMPENSATED)) == (7, 3)
    assert undone == INVALID


async def test_nothing_is_undone_when_checks_come_first(both: Campuses, office: Database) -> None:
    """The same ten: three are refused before anything is written, and there is no saga of them."""
    ends, undone = await request_all(both, office, compensation)
    assert (ends.count(Outcome.DONE), ends.count(Rejected)) == (7, 3)
    assert undone == 0
    assert office.value("SELECT count(*) FROM saga") == REQUESTS - INVALID


async def test_step_still_decides_when_the_check_has_seen_too_little(
    both: Campuses, office: Database
) -> None:
    """The member leaves between check and commit: the seat is given back."""
    async with both.open() as (seoul, _), await office.aconnect() as conn:
        gone = "DELETE FROM member WHERE name = %s"
        coordinator = Coordinator(
            conn, policy=ONCE, at=lambda _: office.execute(gone, [MEMBERS[0]])
        )
        work = admission.work(seoul, conn, "admitted")
        end = await request(compensation.run, coordinator, work, MEMBERS[0])
    assert end is Outcome.COMPENSATED
    assert both.free() == (20, 0)
    assert office.fetch("TABLE outbox") == []
