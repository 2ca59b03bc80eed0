"""The isolation matrix: every case at every level, and what each session is told in it."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import permutations, product
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from handbook import paths
from handbook.figures.kinds import KINDS
from handbook.lab import Workspace
from snippets.anomalies import COURSE, HERMITAGE, Case, Level, matrix, observe, observe_all, table
from snippets.anomalies.case import HAPPENS, PREVENTED, refused
from snippets.steps import Line, Script, Transcript

pytestmark = pytest.mark.stack
RU, RC, RR, SER = Level
CASES = {case.id: case for case in (*HERMITAGE, *COURSE)}
BOTH = "(1, 10), (2, 20)"

# What the sessions are told at READ COMMITTED, REPEATABLE READ and SERIALIZABLE, after Hermitage.
TOLD: dict[str, dict[str, tuple[str, str, str]]] = {
    "g0": {
        "wx2": ("waits for T1 → UPDATE 1", *("waits for T1 → 40001",) * 2),
        "end": ("(1, 12), (2, 22)", *("(1, 11), (2, 21)",) * 2),
    },
    "g1a": {"r2": (f"{BOTH} → {BOTH}",) * 3},
    "g1b": {"r2": (f"{BOTH} → (1, 11), (2, 20)", *(f"{BOTH} → {BOTH}",) * 2)},
    "g1c": {"ry1": ("20",) * 3, "rx2": ("10",) * 3, "c2": ("done", "done", "40001")},
    "otv": {
        "wx2": ("waits for T1 → UPDATE 1", *("waits for T1 → 40001",) * 2),
        "rx3": ("11 → 12", *("11 → 11",) * 2),
        "ry3": ("19 → 18", *("19 → 19",) * 2),
    },
    "pmp-read": {"p1": ("0 rows",) * 3, "q1": ("(3, 30)", "0 rows", "0 rows")},
    "pmp-write": {
        "d2": ("waits for T1 → DELETE 0", *("waits for T1 → 40001",) * 2),
        "p2": ("(1, 20)", "25P02", "25P02"),
        "c2": ("done", "ROLLBACK", "ROLLBACK"),
    },
    "p4": {
        "wx2": ("waits for T1 → UPDATE 1", *("waits for T1 → 40001",) * 2),
        "c2": ("done", "ROLLBACK", "ROLLBACK"),
        "end": ("(1, 15), (2, 20)", *("(1, 11), (2, 20)",) * 2),
    },
    "g-single": {"rx1": ("10",) * 3, "ry1": ("18", "20", "20")},
    "g-single-pred": {"p1": (BOTH,) * 3, "q1": ("(1, 12)", "0 rows", "0 rows")},
    "g-single-write": {"rx1": ("10",) * 3, "d1": ("DELETE 0", "40001", "40001")},
    "g2-item": {
        "c2": ("done", "done", "40001"),
        "end": (*("(1, 11), (2, 21)",) * 2, "(1, 11), (2, 20)"),
    },
    "g2": {
        "c2": ("done", "done", "40001"),
        "end": (*(f"{BOTH}, (3, 30), (4, 42)",) * 2, f"{BOTH}, (3, 30)"),
    },
    "g2-fekete": {
        "r1": (BOTH,) * 3,
        "r3": ("(1, 10), (2, 25)",) * 3,
        "wx1": ("UPDATE 1", "UPDATE 1", "40001"),
    },
}


def told(transcript: Transcript, step: str) -> str:
    """What a step was told; `end` is what is committed."""
    return transcript.end if step == "end" else transcript.told(step)


def invalid(kind: str, data: dict[str, Any]) -> list[str]:
    """What the schema and the figure have against a recording."""
    schema = json.loads((paths.DOCS / f"_data/schema/{kind}.schema.json").read_text("utf-8"))
    data = {"lab": "05-isolation-matrix", "name": "x", **data}
    found = [error.message for error in Draft202012Validator(schema).iter_errors(data)]
    return found or list(KINDS[kind].faults(data))


# what PostgreSQL does


@pytest.mark.parametrize("level", Level)
def test_hermitage_case_ends_as_expected(workspace: Workspace, level: Level) -> None:
    """Fourteen cases: outcome, SQLSTATE, and what each session reads, as in the literature."""
    seen = {case.id: observe(workspace.dsn, case, level) for case in HERMITAGE}
    assert {name: one.outcome for name, one in seen.items()} == {
        case.id: case.expected(level) for case in HERMITAGE
    }
    column = max(list(Level).index(level) - 1, 0)  # READ UNCOMMITTED is READ COMMITTED
    assert {
        name: {step: told(one.transcript, step) for step in TOLD[name]}
        for name, one in seen.items()
    } == {
        name: {step: answers[column] for step, answers in steps.items()}
        for name, steps in TOLD.items()
    }
    assert len(seen) == 14


@pytest.mark.parametrize("level", Level)
def test_course_case_ends_as_expected(workspace: Workspace, level: Level) -> None:
    """The seven anomalies with names, in terms of courses."""
    seen = {case.id: observe(workspace.dsn, case, level).outcome for case in COURSE}
    assert seen == {case.id: case.expected(level) for case in COURSE}
    assert len(seen) == 7


def test_read_uncommitted_answers_as_read_committed_does(workspace: Workspace) -> None:
    """PostgreSQL has three levels: but for BEGIN, the transcripts are the same."""
    for case in CASES.values():
        weaker, stronger = (observe(workspace.dsn, case, level).transcript for level in (RU, RC))
        assert without_level(weaker) == without_level(stronger)


def without_level(transcript: Transcript) -> list[Line]:
    """The lines, without the name of the level."""
    return [
        replace(line, sql="BEGIN") if line.sql.startswith("BEGIN") else line
        for line in transcript.lines
    ]


def test_one_increment_is_lost_when_two_read_before_they_write(workspace: Workspace) -> None:
    """P4 adds 1 and 5 to 10: 15 at READ COMMITTED, where every order gives 16."""
    transcript = observe(workspace.dsn, CASES["p4"], RC).transcript
    assert transcript.end == "(1, 15), (2, 20)"
    assert [line.answer for line in transcript.lines if line.sql == "COMMIT"] == ["done", "done"]


def test_transcripts_are_equal_on_every_run(workspace: Workspace) -> None:
    """Three runs of the cases in which somebody waits, or is refused at a commit."""
    waiting = [CASES[name] for name in ("g0", "otv", "p4", "g2-item", "write-skew")]
    assert differences(workspace, waiting, [RC, SER], runs=3) == []


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_all_transcripts_are_equal_on_twenty_runs(workspace: Workspace) -> None:
    """All cases at all levels."""
    assert differences(workspace, list(CASES.values()), list(Level), runs=20) == []


def differences(
    workspace: Workspace, cases: list[Case], levels: list[Level], *, runs: int
) -> list[str]:
    """Cases and levels of which two runs had different transcripts."""
    found = []
    for case, level in product(cases, levels):
        first, *others = (observe(workspace.dsn, case, level).transcript for _ in range(runs))
        found += [f"{case.id} {level}:\n{other}" for other in others if other != first]
    return found


# what the sign of a case says


def test_sign_is_absent_when_transactions_run_one_after_the_other(workspace: Workspace) -> None:
    """Twin: no serial order of any case shows its anomaly, so the sign shows interleaving."""
    for case in CASES.values():
        for order in permutations(case.script.sessions):
            serial = replace(case, permutation=one_after_the_other(case, order))
            assert observe(workspace.dsn, serial, RC).outcome == PREVENTED, (case.id, order)


def one_after_the_other(case: Case, order: tuple[str, ...]) -> str:
    """The steps of a case, session by session."""
    steps = case.permutation.split()
    return " ".join(
        step for session in order for step in steps if case.script.steps[step].session == session
    )


def test_weaker_level_is_red_where_a_stronger_one_is_expected(workspace: Workspace) -> None:
    """Twin: write skew at REPEATABLE READ is not what is expected of SERIALIZABLE."""
    skew = CASES["write-skew"]
    assert observe(workspace.dsn, skew, RR).outcome == HAPPENS
    assert skew.expected(SER) == refused("c2")


# what the standard says


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_standard_allows_less_when_the_level_is_higher(case: Case) -> None:
    """And at SERIALIZABLE nothing."""
    allowed = [case.allowed(level) for level in Level]
    assert allowed == sorted(allowed, reverse=True)
    assert not case.allowed(SER)


def test_postgresql_differs_from_the_standard_only_where_it_is_known_to() -> None:
    """Stricter at READ UNCOMMITTED and for phantoms; weaker only for skew at REPEATABLE READ."""
    weaker = {
        (case.id, level)
        for case in CASES.values()
        for level in Level
        if case.expected(level).happens and not case.allowed(level)
    }
    stricter = {
        (case.id, level)
        for case in CASES.values()
        for level in Level
        if case.allowed(level) and not case.expected(level).happens
    }
    assert weaker == {("g2-item", RR), ("g2-fekete", RR), ("write-skew", RR)}
    assert stricter == {
        *((case, RU) for case in ("g1a", "g1b", "g1c", "otv", "dirty-read")),
        ("otv", RC),
        *((case, RR) for case in ("pmp-read", "pmp-write", "phantom")),
    }


# what a page gets


def test_observations_are_data_for_the_step_player_and_the_matrix(workspace: Workspace) -> None:
    """Recordings meet their schemas; a cell leads to the transcript of its name."""
    chosen = [CASES[name] for name in ("otv", "pmp-write", "write-skew")]
    seen = observe_all(workspace.dsn, chosen)
    assert [invalid("steps", one.data()) for one in seen] == [[]] * 12
    recorded = matrix(seen, "격리 수준마다 막는 이상 현상")
    assert invalid("matrix", recorded) == []
    assert recorded["cases"][-1] == {
        "id": "write-skew",
        "name": "쓰기 스큐",
        "results": {
            "read-uncommitted": result("write-skew-read-uncommitted", happens=True),
            "read-committed": result("write-skew-read-committed", happens=True),
            "repeatable-read": result("write-skew-repeatable-read", happens=True, standard=False),
            "serializable": {
                **result("write-skew-serializable", happens=False, standard=False),
                "sqlstate": "40001",
            },
        },
    }


def result(transcript: str, *, happens: bool, standard: bool = True) -> dict[str, object]:
    """A cell of the matrix."""
    return {"happens": happens, "standard": standard, "transcript": transcript}


def test_verdict_says_what_is_wrong_or_what_is_kept_or_who_was_refused(
    workspace: Workspace,
) -> None:
    """In the words of the case."""
    case = CASES["lost-update"]
    verdicts = [observe(workspace.dsn, case, level).data()["verdict"] for level in (RC, RR)]
    assert verdicts == [
        {"happens": True, "text": case.damage},
        {"happens": False, "text": f"{case.kept} T2: 40001, 처음부터 다시 실행합니다."},
    ]
    kept = observe(workspace.dsn, CASES["dirty-read"], RC).data()["verdict"]
    assert kept == {"happens": False, "text": CASES["dirty-read"].kept}


def test_table_has_a_line_for_each_case(workspace: Workspace) -> None:
    """What a notebook prints."""
    seen = observe_all(workspace.dsn, [CASES["p4"], CASES["g2"]])
    assert table(seen).splitlines() == [
        "                    READ UNCOMMITTED  READ COMMITTED    REPEATABLE READ   SERIALIZABLE",
        "p4                  happens           happens           40001 wx2         40001 wx2",
        "g2                  happens           happens           happens           40001 c2",
    ]


def test_case_is_refused_when_its_sign_is_of_no_step() -> None:
    """A sign that nobody can show would make every level look safe."""
    with pytest.raises(ValueError, match="p4: `rx9` is no step of its permutation"):
        replace(CASES["p4"], sign={"rx9": "10"})
    with pytest.raises(ValueError, match="no session has a step `w9`"):
        replace(CASES["p4"], permutation="b1 w9")
    with pytest.raises(ValueError, match="p4: an empty sign is always shown"):
        replace(CASES["p4"], sign={})


def test_only_plain_begin_gets_the_level(workspace: Workspace) -> None:
    """A session that names its own level keeps it."""
    own = "BEGIN ISOLATION LEVEL SERIALIZABLE"
    script = Script("", "SELECT 1 AS one", {"T1": {"b1": own}, "T2": {"b2": "BEGIN"}})
    case = replace(CASES["p4"], script=script, permutation="b1 b2", sign={"b1": "never"})
    sent = [line.sql for line in observe(workspace.dsn, case, RR).transcript.lines]
    assert sent == [own, "BEGIN ISOLATION LEVEL REPEATABLE READ"]
