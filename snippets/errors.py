"""What a failed call means for its caller: try again, give up, or find out first."""

from __future__ import annotations


class CallError(Exception):
    """A call did not succeed.

    Attributes:
        reason: What happened, for a log or a problem document; no secrets.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Retriable(CallError):  # noqa: N818
    """Nothing was done, and the same call may succeed later: refused connection, 503, 40001."""


class Rejected(CallError):  # noqa: N818
    """Nothing was done, and the same call will never succeed: a business rule said no."""


class InDoubt(CallError):  # noqa: N818
    """The outcome is unknown: the call left, no reply came. Ask or cancel before going on."""
