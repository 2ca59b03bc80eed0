"""What a gate found wrong: where, what, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from handbook.errors import CheckFailedError


@dataclass(frozen=True)
class Problem:
    """One finding. `where` is a file, with its line when there is one: `docs/a.md:12`."""

    where: str
    what: str
    next_step: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}\n    next: {self.next_step}"


def ordered(problems: Iterable[Problem]) -> list[Problem]:
    """Each problem once, by file and line."""

    def place(problem: Problem) -> tuple[str, int, str]:
        file, _, line = problem.where.partition(":")
        return file, int(line) if line.isdigit() else 0, problem.what

    return sorted(set(problems), key=place)


def refuse(problems: Iterable[Problem], subject: str) -> None:
    """Do nothing when there is no problem.

    Raises:
        CheckFailedError: names every problem.
    """
    if found := ordered(problems):
        listed = "\n  ".join(map(str, found))
        raise CheckFailedError(
            f"{subject}: {len(found)} to mend\n  {listed}", "mend the places named above"
        )
