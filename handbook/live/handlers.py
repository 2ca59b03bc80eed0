"""What a page asks besides Jupyter's kernels and sessions; each answer needs the cookie."""

from __future__ import annotations

import asyncio
from typing import Any

from jupyter_server.base.handlers import APIHandler, JupyterHandler
from tornado import web
from tornado.iostream import StreamClosedError

from handbook.errors import HandbookError, UsageError
from handbook.live import labs, stack_bar


class News:
    """Tells the open pages that the site was built anew. Lives in the server's event loop."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def tell(self) -> None:
        """Wake every page that waits."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self) -> None:
        """Until the next `tell`."""
        await self._changed.wait()


class OpenHandler(JupyterHandler):
    """`/_live/open?token=…`: the token becomes the cookie, and the address forgets it."""

    def get_login_url(self) -> str:
        """There is no log-in page: whoever has no token has nothing to type."""
        raise web.HTTPError(403, reason="open the address that the terminal shows")

    @web.authenticated
    def get(self) -> None:
        """On to a page of this site."""
        wanted = self.get_argument("next", "/")
        local = wanted.startswith("/") and not wanted.startswith("//") and "\\" not in wanted
        self.redirect(wanted if local else "/")


class HelloHandler(APIHandler):
    """Whether this reader may run cells."""

    @web.authenticated
    def get(self) -> None:
        """The value that later requests must show, and whether pages change under the reader."""
        self.set_header("Cache-Control", "no-store")
        watched = self.settings["live_place"].watched
        self.finish({"xsrf": self.xsrf_token.decode(), "watched": watched})


class LabHandler(APIHandler):
    """The code of a lab, for pages that show only one cell of it."""

    @web.authenticated
    def get(self, name: str) -> None:
        """Its code cells, in order."""
        try:
            self.finish({"cells": labs.cells(name, self.settings["live_place"].notebooks)})
        except HandbookError as error:
            raise web.HTTPError(404, reason="no such lab") from error


class StackHandler(APIHandler):
    """How the servers are, and what can be done to them."""

    @web.authenticated
    async def get(self) -> None:
        """One look."""
        self.finish(await asyncio.to_thread(stack_bar.look))

    @web.authenticated
    async def post(self) -> None:
        """Kill or start one of them; answers when it is done."""
        asked = self.get_json_body()
        try:
            await asyncio.to_thread(_act, asked if isinstance(asked, dict) else {})
        except UsageError as error:
            raise web.HTTPError(400, error.what, reason="not possible") from error
        except HandbookError as error:
            raise web.HTTPError(409, error.what, reason="it did not work") from error
        self.finish(await asyncio.to_thread(stack_bar.look))


def _act(asked: dict[str, Any]) -> None:
    if "pid" in asked:
        if not isinstance(asked["pid"], int):
            raise UsageError("a process is named by its number", "send {pid: 123}")
        stack_bar.kill(asked["pid"])
    else:
        stack_bar.act(str(asked.get("action")), str(asked.get("server")))


class ChangesHandler(APIHandler):
    """Server-sent events: one for each build while the reader's pages are open."""

    @web.authenticated
    async def get(self) -> None:
        """Until the page goes away."""
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("Cache-Control", "no-store")
        try:
            self.write(": open\n\n")
            await self.flush()
            while True:
                await self.settings["live_news"].wait()
                self.write("data: built\n\n")
                await self.flush()
        except StreamClosedError:
            return
