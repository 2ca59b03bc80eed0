"""Running services and a client for every test that asks for them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from running import NO_TLS, Fleet, Service, Trio, World

from handbook.lab import Workspace
from handbook.stack import Stack


@pytest.fixture(scope="session")
def fleet(stack: Stack) -> Iterator[Fleet]:
    """The services of this test run."""
    with contextlib.closing(Fleet(stack)) as made:
        yield made


@pytest.fixture
def member(fleet: Fleet) -> Service:
    """멤버, with empty tables."""
    return fleet.service("member")


@pytest.fixture
def board(fleet: Fleet) -> Service:
    """게시판, with empty tables."""
    return fleet.service("board")


@pytest.fixture
def world(workspace: Workspace, fleet: Fleet, member: Service, board: Service) -> World:
    """Three empty databases, member and board behind a proxy each; no course service."""
    to_member, to_board = fleet.proxy("member"), fleet.proxy("board")
    return World(workspace, fleet.database("course"), member, board, to_member, to_board)


@pytest.fixture(scope="session")
def shared(stack: Stack) -> Iterator[Workspace]:
    """A workspace of this test run, for tests that empty the tables which they use."""
    with contextlib.closing(Workspace.create(stack, "shared")) as made:
        yield made


@pytest.fixture
def trio(world: World, fleet: Fleet) -> Trio:
    """Three services with empty tables, a proxy on each way from the course service."""
    service = fleet.service("course", settings={**world.urls, "attempts": 2})
    parts = world.member, world.board, world.to_member, world.to_board
    return Trio(world.workspace, service.database, *parts, service)


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """A client."""
    async with httpx.AsyncClient(timeout=10, verify=NO_TLS) as client:
        yield client
