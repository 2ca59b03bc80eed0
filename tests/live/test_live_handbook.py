"""The handbook itself: an outbox, an isolation and a concept page and a lab, on a real stack."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from reader import Reader

from handbook.live.server import LiveServer
from handbook.site.project import Project
from handbook.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.stack]


@pytest.fixture(scope="module")
def live(stack: Stack, handbook_site: Path) -> Iterator[LiveServer]:
    """The handbook as it is now, on the tests' stack."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        server = LiveServer(Project(), sock)
    server.place = replace(server.place, site=handbook_site)
    server.start()
    server.wait()
    yield server
    server.close()


@pytest.mark.parametrize(
    ("page", "cell"),
    [
        ("events/outbox/", "e20-commit-then-send-loses"),
        ("isolation/anomalies/", "matrix-lost-update-happens"),
        ("transactions/acid/", "e12-unit-keeps-nothing"),
        ("labs/05-isolation-matrix/", "matrix-lost-update-happens"),
    ],
)
def test_claim_comes_out_again_when_a_reader_runs_it(
    browser: Browser, live: LiveServer, page: str, cell: str
) -> None:
    """What the page claims, it does on the reader's own servers, with nothing from elsewhere."""
    reader = Reader(browser, live)
    reader.greet()
    reader.open(page)
    assert "저장된 출력과 같습니다" in reader.run(cell, "여기까지 실행")
    local = (reader.origin, "data:")
    assert [url for url in reader.requests if not url.startswith(local)] == []
    assert reader.errors == []
    reader.leave()
