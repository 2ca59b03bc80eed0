"""What a gate found wrong: where, what, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from handbook.errors import CheckFailedError


@dataclass(frozen=True, order=True)
class Problem:
    """One finding. `where` is a file, with its line when there is one: `docs/a.md:12`."""

    where: str
    what: str
    next_step: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}\n    next: {self.next_step}"


def refuse(problems: Sequence[Problem], subject: str) -> None:
    """Do nothing when there is no problem.

    Raises:
        CheckFailedError: names every problem.
    """
    if problems:
        listed = "\n  ".join(str(problem) for problem in sorted(set(problems)))
        raise CheckFailedError(
            f"{subject}: {len(set(problems))} to mend\n  {listed}", "mend the places named above"
        )
