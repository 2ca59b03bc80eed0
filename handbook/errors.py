"""Errors a reader can act on: what happened, and what to do next.

Exit codes: 1 a check failed, 2 the request was wrong, 3 the machine is not ready.
"""

from __future__ import annotations

from typing import ClassVar


class HandbookError(Exception):
    """Something the reader can mend.

    Args:
        what: What happened, in one sentence.
        next_step: The command or action that mends it.
    """

    exit_code: ClassVar[int] = 3

    def __init__(self, what: str, next_step: str) -> None:
        super().__init__(what)
        self.what = what
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.what}\n  next: {self.next_step}"


class CheckFailedError(HandbookError):
    """A gate found its subject broken."""

    exit_code = 1


class UsageError(HandbookError):
    """The request names something that does not exist or cannot be."""

    exit_code = 2


class StackError(HandbookError):
    """The machine, the network or a server is not in the state that the stack needs."""

    exit_code = 3
