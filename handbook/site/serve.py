"""All a reader needs from one command: the site is built, the stack runs, the URL is printed."""

from __future__ import annotations

import importlib.util
import signal
import threading
import time
import webbrowser
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from handbook.errors import HandbookError
from handbook.site import build, server
from handbook.site.project import Project

if TYPE_CHECKING:
    from handbook.live.server import LiveServer

Say = Callable[[str], None]
LOOK_EVERY = 0.2
"""Seconds between looks at the sources."""


def serve(
    project: Project,
    *,
    port: int | None,
    with_stack: bool,
    watch: bool,
    open_browser: bool,
    say: Say,
    show: Say,
) -> None:
    """Serve until Ctrl-C or SIGTERM. The stack is left running.

    Args:
        project: the checkout.
        port: see `server.listen`.
        with_stack: start PostgreSQL and Kafka beside the build, and let the reader run cells.
        watch: build again whenever a source changes.
        open_browser: show the page when it is ready.
        say: progress.
        show: the result, the URL as its last line.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    site = server.listen(project.site, port, say)
    live = _live(project, site, watch, say) if with_stack else None
    try:
        stack = threading.Thread(target=_start_stack, args=(say,), daemon=True)
        if with_stack:
            stack.start()
        seen = build.fingerprint(project)
        _build_if_stale(project, say, always=watch)
        if live:
            live.wait()
        else:
            threading.Thread(target=site.serve_forever, daemon=True).start()
        if with_stack:
            stack.join()
        url = live.url if live else site.url
        show("Stop with Ctrl-C.")
        show(f"문서: {url}")
        if open_browser:
            webbrowser.open(url)
        if watch:
            _rebuild_on_change(project, seen, say, built=live.tell if live else _nobody)
        threading.Event().wait()
    except KeyboardInterrupt:
        say("\nstopped" + (_left_running() if with_stack else ""))
    finally:
        if live:
            # A second Ctrl-C must not leave kernels behind.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            live.close()
        site.server_close()


def _live(project: Project, site: server.Server, watch: bool, say: Say) -> LiveServer | None:
    """The server that runs cells, on the socket of the one that only shows them."""
    if importlib.util.find_spec("jupyter_server") is None:
        say("Jupyter is not installed: the pages can be read, their cells do not run")
        return None
    from handbook.live.server import LiveServer

    live = LiveServer(project, site.socket, watched=watch)
    live.start()
    return live


def _nobody() -> None:
    """No page waits for a build."""


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def _build_if_stale(project: Project, say: Say, *, always: bool) -> None:
    """Always, when changes are to follow: the first build of a process is the slow one."""
    if always or build.is_stale(project):
        what = "anew" if project.site.exists() else "not built yet"
        say(f"building the site ({what}) …")
        built = build.build(project)
        say(f"built {built.pages} pages in {built.seconds:.1f} s")


def _rebuild_on_change(
    project: Project, seen: str, say: Say, *, built: Callable[[], None]
) -> NoReturn:
    """A build that fails says why and leaves the old site; the next change tries again."""
    say("watching for changes")
    while True:
        time.sleep(LOOK_EVERY)
        if (now := build.fingerprint(project)) == seen:
            continue
        seen = now
        try:
            made = build.build(Project(project.root))
        except HandbookError as error:
            say(f"error: {error}")
        else:
            say(f"built {made.pages} pages in {made.seconds:.1f} s")
            built()


def _start_stack(say: Say) -> None:
    """Pages can be read without the stack, so a stack that does not start is only reported."""
    from handbook.stack import connect

    try:
        stack = connect()
    except HandbookError as error:
        say(f"error: {error}\n  the pages can be read; labs cannot run until this is mended")
    else:
        say(f"PostgreSQL and Kafka are running ({stack.kind})")


def _left_running() -> str:
    return "; PostgreSQL and Kafka keep running, `handbook down` stops them"
