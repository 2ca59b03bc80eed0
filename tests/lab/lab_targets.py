"""Small functions that the tests of `Child` run in processes of their own."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable

from psycopg.conninfo import conninfo_to_dict


async def steps(count: int, *, at: Callable[[str], None]) -> None:
    """Pass `step` `count` times, then `done`."""
    for _ in range(count):
        at("step")
        await asyncio.sleep(0)
    at("done")


async def serve(*, at: Callable[[str], None], stop: asyncio.Event) -> None:
    """Run until told to stop, then finish."""
    at("serving")
    await stop.wait()
    at("finished")


def serve_sync(*, at: Callable[[str], None], stop: threading.Event) -> None:
    """`serve` without an event loop."""
    at("serving")
    stop.wait()
    at("finished")


def deaf(*, at: Callable[[str], None], stop: threading.Event) -> None:
    """Take no notice of `stop`."""
    at("serving")
    threading.Event().wait()


async def tick(*, at: Callable[[str], None]) -> None:
    """Report for ever."""
    while True:
        at("tick")
        await asyncio.sleep(0.005)


def fail(*, at: Callable[[str], None]) -> None:
    """End with a traceback."""
    at("begun")
    raise ValueError("no such course")


def chatter(lines: int, *, at: Callable[[str], None]) -> None:
    """Print, and report between the lines."""
    for number in range(lines):
        sys.stdout.write(f"line {number}\n")
        sys.stdout.flush()
        at("printed")
    sys.stderr.write("over\n")


async def listen(
    dsn: str, port: int, greeting: str, *, at: Callable[[str], None], stop: asyncio.Event
) -> None:
    """A service: greet whoever connects, with the name of the database."""

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{greeting} {conninfo_to_dict(dsn)['dbname']}".encode())
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", port):
        at("service.ready")
        await stop.wait()


def refuse_to_listen(dsn: str, port: int) -> None:
    """A service that cannot come up."""
    raise OSError(f"no port {port} for {bool(dsn)}")
