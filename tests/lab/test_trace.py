"""Claims of `handbook.lab.trace`."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from handbook import paths
from handbook.errors import UsageError
from handbook.lab import Trace


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Recordings of a test stay in its folder."""
    monkeypatch.setenv("HANDBOOK_DATA_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def schema() -> Any:
    """The schema that pages and gates rely on."""
    return json.loads((paths.DATA / "schema" / "trace.schema.json").read_text(encoding="utf-8"))


def recorded() -> Trace:
    """A course whose event is lost."""
    trace = Trace("13-outbox", "lost")
    trace.add("과정", "commit", "과정 저장", tx="t1")
    trace.add("과정", "crash", "SIGKILL")
    trace.add("Kafka", "lost", "과정 생성됨", msg="m1", ref="a3")
    return trace


def test_trace_holds_events_in_logical_order_when_saved(home: Path) -> None:
    """A saved trace has lanes by first event, and events numbered from 1, without clock times."""
    path = recorded().save()
    assert path == home / "trace" / "13-outbox" / "lost.json"
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "lab": "13-outbox",
        "name": "lost",
        "lanes": ["과정", "Kafka"],
        "events": [
            {"seq": 1, "lane": "과정", "kind": "commit", "label": "과정 저장", "tx": "t1"},
            {"seq": 2, "lane": "과정", "kind": "crash", "label": "SIGKILL"},
            {
                "seq": 3,
                "lane": "Kafka",
                "kind": "lost",
                "label": "과정 생성됨",
                "msg": "m1",
                "ref": "a3",
            },
        ],
    }


def test_trace_is_the_same_bytes_when_recorded_again() -> None:
    """Two recordings of the same events are equal files."""
    assert recorded().save().read_bytes() == recorded().save().read_bytes()


def test_trace_is_valid_when_checked_against_its_schema(schema: Any) -> None:
    """What `Trace` writes is what the schema allows; something else is refused."""
    jsonschema.Draft202012Validator.check_schema(schema)
    data = recorded().data()
    check = jsonschema.Draft202012Validator(schema)
    check.validate(data)
    data["events"][0]["at"] = "10:31:07"
    with pytest.raises(jsonschema.ValidationError, match="at"):
        check.validate(data)


def test_trace_refuses_an_event_when_its_kind_is_unknown() -> None:
    """A mistyped kind is named, with those that exist."""
    with pytest.raises(UsageError, match=r"`sent` is no kind[\s\S]*send"):
        Trace("lab", "name").add("과정", "sent", "x")


def test_trace_refuses_a_name_when_it_could_leave_its_folder() -> None:
    """A trace is a file in the folder of its lab."""
    with pytest.raises(UsageError, match="cannot name a trace"):
        Trace("lab", "../name")


def test_trace_numbers_without_gaps_when_threads_add_at_once() -> None:
    """Children report in threads of their own."""
    trace = Trace("lab", "name")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: trace.add("lane", "local", str(n)), range(400)))
    assert [event.seq for event in trace.events] == list(range(1, 401))
