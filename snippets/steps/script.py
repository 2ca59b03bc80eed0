"""What can be played: named sessions and their named steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MOST_SESSIONS = 3


@dataclass(frozen=True)
class Step:
    """One statement of one session."""

    name: str
    session: str
    sql: str


# --8<-- [start:script]
@dataclass(frozen=True)
class Script:
    """Sessions and steps; a permutation says in which order they are played.

    Attributes:
        setup: Makes the tables anew; run before each permutation.
        rows: A query; what it finds after each step is what is committed.
        sessions: Session to its steps, step to its statement. A step is named by its action and
            its session: `rx1` reads x in session 1, `wy2` writes y in session 2, `c1` commits.
    """

    setup: str
    rows: str
    sessions: Mapping[str, Mapping[str, str]]
    # --8<-- [end:script]

    def __post_init__(self) -> None:
        if not 1 <= len(self.sessions) <= MOST_SESSIONS:
            raise ValueError(f"{len(self.sessions)} sessions: write one to {MOST_SESSIONS}")
        names = [name for steps in self.sessions.values() for name in steps]
        for name in names:
            if name.split() != [name]:
                raise ValueError(f"step `{name}`: write one word, blanks separate steps")
            if names.count(name) > 1:
                raise ValueError(f"step `{name}` is in two sessions: add the session's number")

    @property
    def steps(self) -> dict[str, Step]:
        """All steps by name."""
        return {
            name: Step(name, session, sql)
            for session, steps in self.sessions.items()
            for name, sql in steps.items()
        }

    def order(self, permutation: str) -> list[Step]:
        """The steps that `permutation` names, separated by blanks; one may come more than once.

        Raises:
            ValueError: it names no step, or one that no session has.
        """
        steps, names = self.steps, permutation.split()
        if not names:
            raise ValueError(f"the permutation is empty: name steps of {', '.join(steps)}")
        for name in names:
            if name not in steps:
                raise ValueError(f"no session has a step `{name}`: name one of {', '.join(steps)}")
        return [steps[name] for name in names]
