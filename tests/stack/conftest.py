"""Stacks of a test's own: real servers in a folder that is deleted afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from own_stack import copy_of, own_home, trained

from handbook.stack import embedded


@pytest.fixture(scope="session")
def start_up_cache() -> Path:
    """The folder with jars and the JVM's start-up cache, as on a reader's second day."""
    return trained()


@pytest.fixture(scope="session")
def template(start_up_cache: Path) -> Iterator[Path]:
    """A stack that was started once and is down; never started itself, only copied."""
    with own_home() as place, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HANDBOOK_STACK_HOME", str(place))
        embedded.up()
        embedded.down()
        patch.undo()
        yield place


@pytest.fixture
def home(start_up_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The state folder of a stack that does not exist yet; wiped at the end."""
    with own_home() as place:
        monkeypatch.setenv("HANDBOOK_STACK_HOME", str(place))
        yield place
        monkeypatch.setenv("HANDBOOK_STACK_HOME", str(place))
        embedded.wipe()


@pytest.fixture
def formatted(home: Path, template: Path) -> Path:
    """The state folder of a stack that is formatted and down, on ports of its own."""
    copy_of(template, home)
    return home
