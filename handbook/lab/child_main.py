"""The process side of `process`: `python -P child_main.py <report fd>`, what to run on stdin.

Imports the standard library only, and then what the target imports.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any


def main() -> None:
    """Read what to run from stdin, run it, report its points."""
    line = sys.stdin.buffer.readline()
    threading.Thread(target=_die_with_parent, daemon=True).start()
    spec = json.loads(line, object_hook=_restored)
    sys.path[:] = spec["path"]
    module_name, _, function_name = spec["target"].partition(":")
    function = getattr(importlib.import_module(module_name), function_name)
    kwargs: dict[str, Any] = spec["kwargs"]
    parameters = inspect.signature(function).parameters
    if "at" in parameters:
        kwargs["at"] = checkpoint(int(sys.argv[1]), spec["stop_at"], spec["stop_after"])
    if inspect.iscoroutinefunction(function):
        asyncio.run(_run_async(function, kwargs, "stop" in parameters))
        return
    if "stop" in parameters:
        stop = kwargs["stop"] = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
    function(**kwargs)


async def _run_async(function: Callable[..., Any], kwargs: dict[str, Any], stoppable: bool) -> None:
    if stoppable:
        stop = kwargs["stop"] = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await function(**kwargs)


def checkpoint(reports: int, stop_at: str | None, stop_after: int) -> Callable[[str], None]:
    """A checkpoint that tells the parent, and stands still where it is to be killed."""
    arrivals = 0

    def at(name: str) -> None:
        nonlocal arrivals
        os.write(reports, f"{name}\n".encode())
        if name == stop_at:
            arrivals += 1
            if arrivals == stop_after:
                threading.Event().wait()  # for ever, the event loop with it: not one step further

    return at


def _restored(value: dict[str, Any]) -> Any:
    if value != {"$handbook": "ssl_context"}:
        return value
    from handbook.stack import connect  # only here: a TLS setting cannot be sent, but made again

    return connect().kafka.security["ssl_context"]


def _die_with_parent() -> None:
    os.read(0, 1)  # nothing comes; the end of file does, when the parent is gone
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
