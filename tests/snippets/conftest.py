"""Running services and a client for every test that asks for them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from running import Service, start

from handbook.lab import Workspace


@pytest.fixture
def member(workspace: Workspace) -> Service:
    """멤버."""
    return start(workspace, "member")


@pytest.fixture
def board(workspace: Workspace) -> Service:
    """게시판."""
    return start(workspace, "board")


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """A client."""
    async with httpx.AsyncClient(timeout=10) as client:
        yield client
