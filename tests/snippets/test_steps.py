"""The step runner: who waits for whom, what goes on when, and scripts that it refuses."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import psycopg
import pytest
from jsonschema import Draft202012Validator

from handbook import paths
from handbook.figures import steps as figure
from handbook.lab import Workspace, wait_until
from snippets.steps import Line, Overdue, Script, Stuck, Transcript, run

pytestmark = pytest.mark.stack
SETUP = """
DROP TABLE IF EXISTS course;
CREATE TABLE course (id int PRIMARY KEY, seats int NOT NULL);
INSERT INTO course VALUES (1, 10);
"""
ROWS = "SELECT id, seats FROM course ORDER BY id"
TAKE_1 = "UPDATE course SET seats = seats - 1 WHERE id = 1"
OTHERS = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


def script(*sessions: dict[str, str], setup: str = SETUP, rows: str = ROWS) -> Script:
    """Sessions T1, T2, … on one course of ten seats."""
    return Script(setup, rows, {f"T{number}": one for number, one in enumerate(sessions, start=1)})


def writer(number: int) -> dict[str, str]:
    """A session that takes a seat."""
    return {f"b{number}": "BEGIN", f"w{number}": TAKE_1, f"c{number}": "COMMIT"}


def answers(transcript: Transcript) -> list[str]:
    """`step: answer`, in order, without the steps that were just done."""
    return [f"{step}: {answer}" for step, answer in transcript.answers if answer != "done"]


# what is reported


def test_step_waits_then_goes_on_when_another_holds_its_row(workspace: Workspace) -> None:
    """A line says for whom the step waits, and a second one what came of it, after the commit."""
    transcript = run(workspace.dsn, script(writer(1), writer(2)), "b1 b2 w1 w2 c1 c2")
    ten, nine, eight = (({"id": 1, "seats": seats},) for seats in (10, 9, 8))
    assert transcript == Transcript(
        ("T1", "T2"),
        (
            Line("b1", "T1", "BEGIN", "ran", rows=ten),
            Line("b2", "T2", "BEGIN", "ran", rows=ten),
            Line("w1", "T1", TAKE_1, "ran", result="UPDATE 1", rows=ten),
            Line("w2", "T2", TAKE_1, "waiting", waits_for="T1", rows=ten),
            Line("c1", "T1", "COMMIT", "ran", rows=nine),
            Line("w2", "T2", TAKE_1, "resumed", result="UPDATE 1", rows=nine),
            Line("c2", "T2", "COMMIT", "ran", rows=eight),
        ),
    )


def test_each_waits_for_the_one_before_when_three_queue_for_a_row(workspace: Workspace) -> None:
    """The third waits for the second, whoever holds the row, and goes on after it."""
    three = script(writer(1), writer(2), writer(3))
    transcript = run(workspace.dsn, three, "b1 b2 b3 w1 w2 w3 c1 c2 c3")
    assert answers(transcript) == [
        "w1: UPDATE 1",
        "w2: waits for T1",
        "w3: waits for T2",
        "w2: UPDATE 1",
        "w3: UPDATE 1",
    ]
    assert transcript.end == "(1, 7)"


def test_wait_is_reported_again_when_it_is_for_another_session(workspace: Workspace) -> None:
    """Two sessions share a lock: the third waits for one, then for the other."""
    kinds = ("_shared", "_shared", "")
    sessions = [
        {f"b{n}": "BEGIN", f"l{n}": f"SELECT pg_advisory_xact_lock{kind}(1)", f"c{n}": "COMMIT"}
        for n, kind in enumerate(kinds, start=1)
    ]
    transcript = run(workspace.dsn, script(*sessions), "b1 b2 b3 l1 l2 l3 c1 c2 c3")
    assert answers(transcript) == ["l3: waits for T1", "l3: waits for T2"]
    assert [line.state for line in transcript.lines if line.step == "l3"] == [
        "waiting",
        "waiting",
        "resumed",
    ]


def test_waiting_session_without_transaction_commits_in_the_step_that_frees_it(
    workspace: Workspace,
) -> None:
    """Its rows are in the line of that step, on every run: they are read when all is quiet."""
    transcript = run(workspace.dsn, script(writer(1), {"w2": TAKE_1}), "b1 w1 w2 c1")
    assert [(line.step, line.rows) for line in transcript.lines[-2:]] == [
        ("c1", ({"id": 1, "seats": 8},)),
        ("w2", ({"id": 1, "seats": 8},)),
    ]


def test_commit_is_recorded_as_rollback_when_a_step_failed(workspace: Workspace) -> None:
    """The error has its SQLSTATE, the next step 25P02, and COMMIT the answer ROLLBACK."""
    failing = {"b1": "BEGIN", "w1": TAKE_1, "e1": "SELECT 1 / 0", "r1": ROWS, "c1": "COMMIT"}
    transcript = run(workspace.dsn, script(failing), "b1 w1 e1 r1 c1")
    assert answers(transcript) == ["w1: UPDATE 1", "e1: 22012", "r1: 25P02", "c1: ROLLBACK"]
    assert [line.state for line in transcript.lines] == ["ran", "ran", "error", "error", "ran"]
    assert transcript.end == "(1, 10)"


def test_deadlock_is_waited_for_until_postgresql_ends_it(workspace: Workspace) -> None:
    """Both wait; then one has 40P01 and the other goes on."""
    setup = SETUP + "INSERT INTO course VALUES (2, 20)"
    take_2 = TAKE_1.replace("id = 1", "id = 2")
    crossed = script(
        {"b1": "BEGIN", "x1": TAKE_1, "y1": take_2, "c1": "COMMIT"},
        {"b2": "BEGIN", "y2": take_2, "x2": TAKE_1, "c2": "COMMIT"},
        setup=setup,
    )
    transcript = run(workspace.dsn, crossed, "b1 b2 x1 y2 y1 x2 c1 c2")
    assert answers(transcript)[2:4] == ["y1: waits for T2", "x2: waits for T1"]
    outcomes = {transcript.told("y1"), transcript.told("x2")}
    assert outcomes in (
        {"waits for T2 → 40P01", "waits for T1 → UPDATE 1"},
        {"waits for T2 → UPDATE 1", "waits for T1 → 40P01"},
    )


def test_answers_are_written_in_one_line_whatever_their_type(workspace: Workspace) -> None:
    """Rows keep numbers, words and NULL, as the schema wants them; the rest becomes words."""
    setup = "DROP TABLE IF EXISTS plan; CREATE TABLE plan (day date, open boolean, room text);"
    setup += "INSERT INTO plan VALUES ('2026-11-24', true, NULL)"
    reader = {"one": "SELECT 1", "many": "SELECT day, room FROM plan", "none": "SELECT 1 LIMIT 0"}
    plan = script(reader, setup=setup, rows="TABLE plan")
    transcript = run(workspace.dsn, plan, "one many none")
    assert answers(transcript) == ["one: 1", "many: (2026-11-24, NULL)", "none: 0 rows"]
    assert transcript.lines[0].rows == (
        {"day": str(date(2026, 11, 24)), "open": "true", "room": None},
    )


def test_transcript_is_readable_as_text(workspace: Workspace) -> None:
    """What a notebook prints."""
    transcript = run(workspace.dsn, script(writer(1), writer(2)), "b1 w1 w2 c1")
    assert str(transcript).splitlines() == [
        "T1  b1   BEGIN",
        f"T1  w1   {TAKE_1}  → UPDATE 1",
        f"T2  w2   {TAKE_1}  → waits for T1",
        "T1  c1   COMMIT",
        f"T2  w2   ... {TAKE_1}  → UPDATE 1",
    ]


def test_transcript_is_data_for_the_step_player(workspace: Workspace) -> None:
    """Its steps meet the schema and the rules of the figure, errors and waits included."""
    failing = {**writer(2), "e2": "SELECT 1 / 0"}
    transcript = run(workspace.dsn, script(writer(1), failing), "b1 b2 w1 w2 c1 e2 c2")
    verdict = {"happens": False, "text": "막음"}
    about = {"lab": "05-isolation-matrix", "name": "x", "title": "x", "level": "READ COMMITTED"}
    data: dict[str, Any] = {**about, "verdict": verdict, **transcript.data()}
    schema = json.loads((paths.DOCS / "_data/schema/steps.schema.json").read_text("utf-8"))
    assert list(Draft202012Validator(schema).iter_errors(data)) == []
    assert list(figure.faults(data)) == []
    assert "대기: T1의 락" in figure.render(data)


# what is refused


@pytest.mark.parametrize(
    ("permutation", "advice"),
    [
        ("b1 b2 w1 w2 c2", "play `c2` after the step that ends that"),
        ("b1 b2 w1 w2", "at the end: let T1 commit or roll back"),
    ],
)
def test_permutation_is_refused_when_it_cannot_go_on(
    workspace: Workspace, permutation: str, advice: str
) -> None:
    """It says who waits for whom; its sessions are gone afterwards, and their work undone."""
    with pytest.raises(Stuck, match=f"T2 still waits for T1 with `w2`.*{advice}"):
        run(workspace.dsn, script(writer(1), writer(2)), permutation)
    assert left_alone(workspace)
    assert workspace.fetch(ROWS) == [(1, 10)]


def test_step_is_overdue_when_it_neither_answers_nor_waits_for_a_session(
    workspace: Workspace,
) -> None:
    """The deadline ends it, and cancels what runs on the server."""
    with pytest.raises(Overdue, match=r"`s1` of T1 took 0\.1 s"):
        run(workspace.dsn, script({"s1": "SELECT pg_sleep(60)"}), "s1", deadline=0.1)
    assert left_alone(workspace)


def test_deadlock_is_overdue_when_the_deadline_is_shorter_than_postgresqls(
    workspace: Workspace,
) -> None:
    """Who gives less time than `deadlock_timeout` is told so."""
    lock = "SELECT pg_advisory_xact_lock"
    first = {"b1": "BEGIN", "x1": f"{lock}(1)", "y1": f"{lock}(2)"}
    second = {"b2": "BEGIN", "y2": f"{lock}(2)", "x2": f"{lock}(1)"}
    with pytest.raises(Overdue, match="deadlock_timeout"):
        run(workspace.dsn, script(first, second), "b1 b2 x1 y2 y1 x2", deadline=0.5)
    assert left_alone(workspace)


def test_script_is_refused_when_a_step_locks_what_is_committed(workspace: Workspace) -> None:
    """The rows after each step could not be read; the runner does not wait for them for ever."""
    locking = {"b1": "BEGIN", "l1": "LOCK TABLE course", "c1": "COMMIT"}
    with pytest.raises(Stuck, match="a step locks what `rows` reads"):
        run(workspace.dsn, script(locking), "b1 l1 c1", deadline=0.5)
    assert left_alone(workspace)


def test_lost_connection_is_no_answer(workspace: Workspace) -> None:
    """A step on a connection that is gone raises: there is nobody to answer it."""
    gone = {"k1": "SELECT pg_terminate_backend(pg_backend_pid())", "r1": ROWS}
    with pytest.raises(psycopg.OperationalError):
        run(workspace.dsn, script(gone), "k1 r1")


def left_alone(workspace: Workspace) -> bool:
    """Whether the runner's sessions have gone from the server."""
    return wait_until(lambda: workspace.fetch(OTHERS) == [], what="the sessions to end")


@pytest.mark.parametrize(
    ("permutation", "advice"),
    [
        ("b1 w9 c1", "no session has a step `w9`: name one of b1, w1, c1"),
        ("  ", "the permutation is empty: name steps of b1, w1, c1"),
    ],
)
def test_permutation_is_refused_when_it_names_no_step(permutation: str, advice: str) -> None:
    """Before anything is sent: the address is of no server."""
    with pytest.raises(ValueError, match=advice):
        run("host=invalid.invalid", script(writer(1)), permutation)


@pytest.mark.parametrize("deadline", [0, -1])
def test_deadline_is_refused_when_it_leaves_no_time(deadline: float) -> None:
    """Before anything is sent."""
    with pytest.raises(ValueError, match="give each step more than 0 seconds"):
        run("host=invalid.invalid", script(writer(1)), "b1", deadline=deadline)


@pytest.mark.parametrize(
    ("sessions", "advice"),
    [
        ([], "0 sessions: write one to 3"),
        ([writer(number) for number in range(1, 5)], "4 sessions: write one to 3"),
        ([writer(1), writer(1)], "step `b1` is in two sessions: add the session's number"),
        ([{"read x": ROWS}], "step `read x`: write one word, blanks separate steps"),
        ([{"": ROWS}], "step ``: write one word, blanks separate steps"),
    ],
)
def test_script_is_refused_when_its_steps_have_no_clear_name(
    sessions: list[dict[str, str]], advice: str
) -> None:
    """A permutation must be able to name each step, and the player has three columns."""
    with pytest.raises(ValueError, match=advice):
        script(*sessions)
