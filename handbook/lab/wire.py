"""The HTTP calls between two services, recorded in a trace as they pass a proxy."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from handbook.lab.proxy import Sight
from handbook.lab.trace import Trace


class Wire:
    """A watcher for `Proxy`: each request and reply becomes two events, or one that is lost.

    Args:
        trace: Where to.
        caller: The lane of the service that calls.
        callee: The lane of the service behind the proxy.
        verbs: What a method is called in the picture, as {"PUT": "담당자 등록"}.
        before: Called with a request's method before it is recorded. A caller in another process
            reports its points on another way than its messages: wait here for the point that comes
            before this message, and the order is the same at every run.
    """

    def __init__(
        self,
        trace: Trace,
        caller: str,
        callee: str,
        *,
        verbs: Mapping[str, str],
        before: Callable[[str], None] | None = None,
    ) -> None:
        self._trace = trace
        self._caller = caller
        self._callee = callee
        self._verbs = verbs
        self._before = before
        self._count = 0

    def __call__(self, sight: Sight, what: str) -> None:
        """One message."""
        if sight == "request":
            self._request(what.split()[0])
        else:
            self._reply(what, "recv" if sight == "reply" else "lost")

    def _request(self, method: str) -> None:
        if self._before is not None:
            self._before(method)
        self._count += 1
        label = self._verbs.get(method, method)
        for lane, kind in ((self._caller, "send"), (self._callee, "recv")):
            self._trace.add(lane, kind, label, msg=f"{self._callee}-{self._count}")

    def _reply(self, status: str, arrives: str) -> None:
        for lane, kind in ((self._callee, "send"), (self._caller, arrives)):
            self._trace.add(lane, kind, status, msg=f"{self._callee}-{self._count}-reply")
