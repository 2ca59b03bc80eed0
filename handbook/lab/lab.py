"""The first line of every notebook: `lab = Lab("13-outbox")`."""

from __future__ import annotations

import atexit
import contextlib
import logging
import threading
from pathlib import Path
from typing import Any

import psycopg

from handbook.errors import HandbookError
from handbook.lab import recording, versions
from handbook.lab.trace import Trace
from handbook.lab.workspace import Workspace, sweep
from handbook.stack import Stack, connect

# When the servers are gone nobody is there to read it; the next lab sweeps.
FAULTS = (HandbookError, psycopg.Error)


class Lab(Workspace):
    """A clean workspace on the stack of this checkout, which is started when it is down.

    Closed by `close`, or when the process ends; when it is killed, by the next lab.
    """

    def __init__(self, name: str) -> None:
        # A client that loses its broker logs it; a cell shows what the lab prints.
        logging.getLogger("aiokafka").addHandler(logging.NullHandler())
        stack = connect()
        super().__init__(stack, name)
        self._sweeping = threading.Thread(target=_sweep, args=(stack,), name="lab-sweep")
        self._sweeping.start()
        atexit.register(self._close_quietly)

    def trace(self, name: str) -> Trace:
        """A recording of events for a picture; `save` writes it."""
        return Trace(self.name, name)

    def save(self, kind: str, name: str, **data: Any) -> Path:
        """Store data for a picture, of one of `recording.KINDS`; says beside times what ran."""
        if kind == "spans":
            ran = versions.postgres(self.stack), versions.kafka(self.stack)
            data["measured"] = recording.measured(*ran)
        return recording.write(kind, self.name, name, data)

    def close(self) -> None:
        """Remove everything the lab made."""
        atexit.unregister(self._close_quietly)
        super().close()
        self._sweeping.join()

    def _close_quietly(self) -> None:
        with contextlib.suppress(*FAULTS):
            self.close()


def _sweep(stack: Stack) -> None:
    with contextlib.suppress(*FAULTS):
        sweep(stack)
