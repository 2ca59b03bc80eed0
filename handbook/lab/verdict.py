"""What a run under faults has shown, in Jepsen's words.

A run in which nothing was acknowledged, or no fault was injected, has shown nothing: its verdict is
neither good nor bad.

Source: Jepsen, checker `total-queue`, whose terms these are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Verdict:
    """Counts of one run.

    Attributes:
        attempted: Things that clients asked for.
        acknowledged: Those that were promised.
        lost: Promised and not there.
        duplicated: There more than once.
        unexpected: There, and never asked for, or refused.
        recovered: There, although the client never learned of it.
        stuck: Neither whole nor gone.
        inverted: Pairs of one key in the wrong order.
        faults: Injected ones that took effect.
    """

    attempted: int
    acknowledged: int
    lost: int
    duplicated: int
    unexpected: int
    recovered: int
    stuck: int
    inverted: int
    faults: int

    @classmethod
    def of(
        cls,
        *,
        attempted: Iterable[str],
        acknowledged: Iterable[str],
        refused: Iterable[str] = (),
        found: Mapping[str, int],
        stuck: Iterable[str] = (),
        inverted: int = 0,
        faults: int,
    ) -> Verdict:
        """Counted from what was asked for, what was answered, and how often each is there."""
        asked, promised, no = set(attempted), set(acknowledged), set(refused)
        there = {one for one, times in found.items() if times}
        return cls(
            attempted=len(asked),
            acknowledged=len(promised),
            lost=len(promised - there),
            duplicated=sum(times > 1 for times in found.values()),
            unexpected=len(there - asked) + len(there & no),
            recovered=len((there & asked) - promised - no),
            stuck=len(set(stuck)),
            inverted=inverted,
            faults=faults,
        )

    @property
    def holds(self) -> bool | None:
        """True: nothing is wrong. False: something is. None: the run has shown nothing."""
        if self.lost or self.duplicated or self.unexpected or self.stuck or self.inverted:
            return False
        return True if self.faults and self.acknowledged else None

    def __str__(self) -> str:
        """One line."""
        return " ".join(f"{field.name}={getattr(self, field.name)}" for field in fields(self))
