"""A case: an interleaving, what shows the anomaly, and what is expected of each isolation level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from snippets.steps import Script, Transcript, run

SERIALIZATION_FAILURE = "40001"
END = "end"  # in a sign: what is committed in the end


class Level(StrEnum):
    """The isolation levels of the SQL standard, the weakest first."""

    READ_UNCOMMITTED = "READ UNCOMMITTED"
    READ_COMMITTED = "READ COMMITTED"
    REPEATABLE_READ = "REPEATABLE READ"
    SERIALIZABLE = "SERIALIZABLE"

    @property
    def slug(self) -> str:
        """In names of files and anchors."""
        return self.lower().replace(" ", "-")


@dataclass(frozen=True)
class Outcome:
    """Whether the anomaly happened, and the first step that was refused."""

    happens: bool
    sqlstate: str | None = None
    step: str | None = None

    def __str__(self) -> str:
        if self.happens:
            return "happens"
        return f"{self.sqlstate} {self.step}" if self.sqlstate else "prevented"


HAPPENS = Outcome(happens=True)
PREVENTED = Outcome(happens=False)


def refused(step: str) -> Outcome:
    """Prevented: the step's transaction fails, and may be tried again."""
    return Outcome(False, SERIALIZATION_FAILURE, step)


# --8<-- [start:case]
@dataclass(frozen=True)
class Case:
    """One anomaly, as one interleaving.

    Attributes:
        id: Its name in the literature, as a slug.
        name: In Korean.
        script: Sessions and steps; `BEGIN` gets the level when it is played.
        permutation: The interleaving.
        sign: The anomaly: each of these steps was answered so. `END` is the committed state.
        standard: Whether the SQL standard allows it at each level, the weakest first.
        postgres: What PostgreSQL does at each level.
        damage: What is wrong when it happens, in Korean.
        kept: What holds when it does not, in Korean.
    """

    id: str
    name: str
    script: Script
    permutation: str
    sign: Mapping[str, str]
    standard: tuple[bool, bool, bool, bool]
    postgres: tuple[Outcome, Outcome, Outcome, Outcome]
    damage: str
    kept: str
    # --8<-- [end:case]

    def __post_init__(self) -> None:
        played = {step.name for step in self.script.order(self.permutation)}
        if not self.sign:
            raise ValueError(f"{self.id}: an empty sign is always shown, name answers of steps")
        for step in self.sign.keys() - played - {END}:
            raise ValueError(f"{self.id}: `{step}` is no step of its permutation")

    def allowed(self, level: Level) -> bool:
        """Whether the SQL standard allows the anomaly at `level`."""
        return self.standard[list(Level).index(level)]

    def expected(self, level: Level) -> Outcome:
        """What PostgreSQL does at `level`."""
        return self.postgres[list(Level).index(level)]


@dataclass(frozen=True)
class Observation:
    """A case that was played at a level."""

    case: Case
    level: Level
    transcript: Transcript

    @property
    def name(self) -> str:
        """Of its file, and of its anchor on a page."""
        return f"{self.case.id}-{self.level.slug}"

    # --8<-- [start:outcome]
    @property
    def outcome(self) -> Outcome:
        """What the transcript shows."""
        told = {step: self._told(step) for step in self.case.sign}
        happens = told == self.case.sign
        for line in self.transcript.lines:
            if line.sqlstate:
                return Outcome(happens, line.sqlstate, line.step)
        return Outcome(happens)
        # --8<-- [end:outcome]

    def data(self) -> dict[str, Any]:
        """All of docs/_data/schema/steps.schema.json but the lab and the name."""
        verdict = {"happens": self.outcome.happens, "text": self._verdict()}
        about = {"title": self.case.name, "level": self.level.value, "verdict": verdict}
        return {**about, **self.transcript.data()}

    def _told(self, step: str) -> str:
        return self.transcript.end if step == END else self.transcript.told(step)

    def _verdict(self) -> str:
        outcome, case = self.outcome, self.case
        if outcome.happens:
            return case.damage
        if not outcome.sqlstate:
            return case.kept
        session = case.script.steps[outcome.step or ""].session
        return f"{case.kept} {session}: {outcome.sqlstate}, 처음부터 다시 실행합니다."


# --8<-- [start:observe]
def observe(dsn: str, case: Case, level: Level, *, deadline: float = 10.0) -> Observation:
    """Play `case` at `level`; arguments and errors as `steps.run` has them."""
    transcript = run(dsn, at(level, case.script), case.permutation, deadline=deadline)
    return Observation(case, level, transcript)


def at(level: Level, script: Script) -> Script:
    """The script with all its transactions at `level`."""
    begin = f"BEGIN ISOLATION LEVEL {level}"
    sessions = {
        session: {name: begin if sql == "BEGIN" else sql for name, sql in steps.items()}
        for session, steps in script.sessions.items()
    }
    return replace(script, sessions=sessions)
    # --8<-- [end:observe]
