"""All a reader needs from one command: the site is built, the stack runs, the URL is printed."""

from __future__ import annotations

import signal
import threading
import time
import webbrowser
from collections.abc import Callable
from typing import Any, NoReturn

from handbook.errors import HandbookError
from handbook.site import build, server
from handbook.site.project import Project

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
        with_stack: start PostgreSQL and Kafka beside the build.
        watch: build again whenever a source changes.
        open_browser: show the page when it is ready.
        say: progress.
        show: the result, the URL as its last line.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    site = server.listen(project.site, port, say)
    try:
        stack = threading.Thread(target=_start_stack, args=(say,), daemon=True)
        if with_stack:
            stack.start()
        seen = build.fingerprint(project)
        _build_if_stale(project, say, always=watch)
        threading.Thread(target=site.serve_forever, daemon=True).start()
        if with_stack:
            stack.join()
        show("Stop with Ctrl-C.")
        show(f"문서: {site.url}")
        if open_browser:
            webbrowser.open(site.url)
        if watch:
            _rebuild_on_change(project, seen, say)
        threading.Event().wait()
    except KeyboardInterrupt:
        say("\nstopped" + (_left_running() if with_stack else ""))
    finally:
        site.server_close()


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def _build_if_stale(project: Project, say: Say, *, always: bool) -> None:
    """Always, when changes are to follow: the first build of a process is the slow one."""
    if always or build.is_stale(project):
        what = "anew" if project.site.exists() else "not built yet"
        say(f"building the site ({what}) …")
        built = build.build(project)
        say(f"built {built.pages} pages in {built.seconds:.1f} s")


def _rebuild_on_change(project: Project, seen: str, say: Say) -> NoReturn:
    """A build that fails says why and leaves the old site; the next change tries again."""
    say("watching for changes")
    while True:
        time.sleep(LOOK_EVERY)
        if (now := build.fingerprint(project)) == seen:
            continue
        seen = now
        try:
            built = build.build(Project(project.root))
        except HandbookError as error:
            say(f"error: {error}")
        else:
            say(f"built {built.pages} pages in {built.seconds:.1f} s")


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
