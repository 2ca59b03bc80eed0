"""A TCP proxy that breaks the network as it is told: lost replies, cuts, delays, refusals."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Literal, Self

Fault = Literal["drop_reply", "cut_reply"]
Sight = Literal["request", "reply", "lost"]
Watch = Callable[[Sight, str], None]
"""Gets what passes: `DELETE /managers/c-1`, or the status `204`."""
REQUEST = re.compile(rb"([A-Z]+) (\S+) HTTP/1\.1\r\n")
STATUS = re.compile(rb"HTTP/1\.1 (\d{3})")


class Proxy:
    """Passes bytes on between callers and a port of 127.0.0.1, until it is told otherwise.

    Runs in a thread of its own; faults are chosen from outside and counted. Use as a context
    manager; at its end everything is closed.

    Attributes:
        port: Where it listens.
        faults: How many faults it has injected.
        delay: Seconds that each piece of a reply is held back.
        watch: Told of every HTTP request and reply before it is passed on, in the proxy's thread.
    """

    def __init__(self, target: int, *, watch: Watch | None = None) -> None:
        self.target = target
        self.watch = watch
        self.port = 0
        self.faults = 0
        self.delay = 0.0
        self._armed: list[Fault] = []
        self._pipes: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    @property
    def url(self) -> str:
        """For HTTP clients."""
        return f"http://127.0.0.1:{self.port}"

    def drop_replies(self, count: int = 1) -> None:
        """The next `count` requests arrive; their replies do not: the connection is cut instead."""
        self._armed += ["drop_reply"] * count

    def cut_replies(self, count: int = 1) -> None:
        """Of the next `count` replies half arrives, then the connection is cut."""
        self._armed += ["cut_reply"] * count

    def refuse(self) -> None:
        """Nobody listens any more; what is under way is cut. Counts as one fault."""
        self.faults += 1
        self._do(self._close())

    def heal(self) -> None:
        """Pass everything on again, on the same port."""
        self._armed.clear()
        self.delay = 0.0
        if self._server is None:
            self._do(self._listen())

    def __enter__(self) -> Self:
        """Listen."""
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        """Close everything."""
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for pipe in self._pipes:
            pipe.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    async def _serve(self, caller: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pipes.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):  # either end is gone
                await self._pass_on(caller, back)
        finally:
            back.transport.abort()
            self._pipes.discard(task)

    async def _pass_on(self, caller: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        reply, onward = await asyncio.open_connection("127.0.0.1", self.target)
        requests = asyncio.create_task(self._requests(caller, onward))
        try:
            await self._replies(reply, back)
        finally:
            requests.cancel()
            await asyncio.gather(requests, return_exceptions=True)
            onward.transport.abort()

    async def _requests(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while piece := await source.read(65536):
            if found := REQUEST.match(piece):
                await self._tell("request", b" ".join(found.groups()))
            sink.write(piece)
            await sink.drain()
        with contextlib.suppress(OSError):
            sink.write_eof()

    async def _replies(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while piece := await source.read(65536):
            if self.delay:
                await asyncio.sleep(self.delay)
            if found := STATUS.match(piece):
                await self._tell("lost" if self._armed else "reply", found[1])
            if self._armed:
                self.faults += 1
                if self._armed.pop(0) == "cut_reply":
                    sink.write(piece[: len(piece) // 2])
                    await sink.drain()
                return
            sink.write(piece)
            await sink.drain()

    async def _tell(self, sight: Sight, what: bytes) -> None:
        """Not in the loop: who watches may wait for something, or break another proxy."""
        if self.watch is not None:
            await asyncio.to_thread(self.watch, sight, what.decode())
