"""The first line of every notebook: `lab = Lab("13-outbox")`."""

from __future__ import annotations

import atexit
import contextlib
import threading

from handbook.errors import HandbookError
from handbook.lab.trace import Trace
from handbook.lab.workspace import Workspace, sweep
from handbook.stack import Stack, connect


class Lab(Workspace):
    """A clean workspace on the stack of this checkout, which is started when it is down.

    Closed by `close`, or when the process ends; when it is killed, by the next lab.
    """

    def __init__(self, name: str) -> None:
        stack = connect()
        self._sweeping = threading.Thread(target=_sweep, args=(stack,), name="lab-sweep")
        super().__init__(stack, name)
        self._sweeping.start()
        atexit.register(self.close)

    def trace(self, name: str) -> Trace:
        """A recording of events for a picture; `save` writes it."""
        return Trace(self.name, name)

    def close(self) -> None:
        """Remove everything the lab made."""
        super().close()
        self._sweeping.join()
        atexit.unregister(self.close)


def _sweep(stack: Stack) -> None:
    with contextlib.suppress(HandbookError):  # the next lab tries again
        sweep(stack)
