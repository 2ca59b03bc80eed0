"""One real stack for the whole test run; every test gets a database and topics of its own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from handbook import paths
from handbook.lab import Workspace
from handbook.site import build
from handbook.site.project import Project
from handbook.stack import Stack, embedded, state

os.environ.setdefault("HANDBOOK_STACK_HOME", str(paths.BUILD / "test-stack"))
# A run in the background is born with Ctrl-C ignored, and every child would be as well.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The embedded stack of this test run, shared by the workers and by other runs."""
    users = _users()
    users.parent.mkdir(parents=True, exist_ok=True)
    with users.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield embedded.up()


def _users() -> Path:
    """Locked, shared, by everybody who works on the test stack."""
    return embedded.home().with_suffix(".users")


@pytest.fixture
def workspace(stack: Stack) -> Iterator[Workspace]:
    """A database, an app role and a topic prefix for one test."""
    with contextlib.closing(Workspace.create(stack, "test")) as made:
        yield made


@pytest.fixture(scope="session")
def handbook_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The handbook's own site as it is now, built once for all workers; no test may change it."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    site = folder / "handbook-site"
    with (folder / "handbook-site.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not site.exists():
            _site(site.with_suffix(".part")).rename(site)
    return site


def _site(folder: Path) -> Path:
    """A copy of what `make build` made, unless something was changed since."""
    project = Project()
    if build.is_stale(project):
        build.render(project, folder)
    else:
        shutil.copytree(project.site, folder)
    return folder


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """The last one out stops the servers; a worker leaves that to its controller."""
    if hasattr(session.config, "workerinput") or not _users().exists():
        return
    with state.try_locked(_users()) as alone:
        if alone:
            embedded.down()
