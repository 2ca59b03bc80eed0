"""One real stack for the whole test run; every test gets a database and topics of its own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import pytest

from handbook import paths
from handbook.lab import Workspace
from handbook.stack import Stack, embedded

os.environ.setdefault("HANDBOOK_STACK_HOME", str(paths.BUILD / "test-stack"))


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The embedded stack of this test run, shared by the workers."""
    return embedded.up()


@pytest.fixture
def workspace(stack: Stack) -> Iterator[Workspace]:
    """A database, an app role and a topic prefix for one test."""
    with contextlib.closing(Workspace.create(stack, "test")) as made:
        yield made


def pytest_sessionfinish(session: pytest.Session) -> None:
    """The controller stops what the workers started."""
    if not hasattr(session.config, "workerinput"):
        embedded.down()
