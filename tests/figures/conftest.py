"""Recorded and invented data, a small checkout, and a page with one figure in a real Chromium."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup
from machine_browser import launched
from playwright.sync_api import Browser, Page
from recorded import data

from handbook import paths
from handbook.site import server
from handbook.site.project import Project

# The small checkout has few of the pages that the handbook's own navigation names.
NAV = re.compile(r"^nav:\n(?:[ #].*\n)+", re.MULTILINE)
PICTURES = """\
---
description: 그림과 예측 카드를 시험하는 페이지입니다. 시험마다 끝에 한 덩어리를 덧붙입니다.
---

# 그림은 기록에서 나옵니까 {#pictures}

그림은 실습이 남긴 기록에서 나옵니다.
"""
SMALL = paths.ROOT / "tests/site/fixtures/project"
TERMS = shutil.ignore_patterns("terms.yml")


@pytest.fixture
def sample() -> Callable[[str], Any]:
    """A fresh copy of the sample of that name, which the test may change."""
    return lambda name: data(f"sample/{name}.json")


@pytest.fixture
def saga() -> dict[str, Any]:
    """The explorer's sample with its traces in place."""
    raw: dict[str, Any] = data("sample/explorer.json")
    raw["runs"] = [{**run, "trace": data(run["trace"])} for run in raw["runs"]]
    return raw


@pytest.fixture
def parsed() -> Callable[[str], BeautifulSoup]:
    """HTML as a tree."""
    return lambda html: BeautifulSoup(html, "html.parser")


def lab() -> dict[str, Any]:
    """A lab with a title, a cell that prints, and one that does not."""
    printed = {"output_type": "stream", "name": "stdout", "text": ["lost=3\n"]}
    cells: list[dict[str, Any]] = [
        {"cell_type": "markdown", "id": "title", "source": ["# 시험용 실습"]}
    ]
    for count, (name, outputs) in enumerate([("e1-loses", [printed]), ("cleanup", [])], start=1):
        cell = {"cell_type": "code", "id": name, "source": ["pass"], "outputs": outputs}
        cells.append({**cell, "execution_count": count})
    whole = [{**cell, "metadata": {}} for cell in cells]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": whole, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A small checkout with the handbook's schemas, samples and traces."""
    root = tmp_path / "checkout"
    for folder in ("docs/_data", "docs/labs", "snippets"):
        shutil.copytree(SMALL / folder, root / folder)
    shutil.copy(SMALL / "docs/coverage.yml", root / "docs")
    (root / "notebooks").mkdir()
    (root / "notebooks/01-demo.ipynb").write_text(json.dumps(lab()), "utf-8")
    shutil.copytree(paths.ROOT / "theme", root / "theme")
    shutil.copytree(paths.DATA, root / "docs/_data", dirs_exist_ok=True, ignore=TERMS)
    (root / "docs/index.md").write_text(PICTURES, "utf-8")
    made = Project(root)
    whole = (paths.ROOT / "mkdocs.yml").read_text("utf-8")
    pages = "".join(f"  - {page}\n" for page in [*made.pages(), "labs/*"])
    made.config.write_text(NAV.sub(f"nav:\n{pages}", whole), "utf-8")
    return made


# For one module at a time: while it lives, no other event loop can run in this process's thread.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The machine's own Chromium."""
    with launched() as browser:
        yield browser


@pytest.fixture
def show(chromium: Browser, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """Opens a page that holds the HTML, the figures' style sheet and script, and nothing else."""
    site = tmp_path / "site"
    site.mkdir()
    shutil.copy(paths.ROOT / "theme/styles/50-figures.css", site)
    shutil.copy(paths.ROOT / "theme/assets/javascripts/figures.js", site)
    running = server.listen(site, 0, print)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    contexts = []
    errors: list[str] = []

    def opened(
        html: str, *, script: bool = True, width: int = 1280, anchor: str = "", before: str = ""
    ) -> Page:
        # Strict on purpose: neither an inline style nor an inline script may be needed.
        head = (
            '<meta http-equiv="Content-Security-Policy" content="default-src \'self\'">'
            '<link rel="icon" href="data:,"><link rel="stylesheet" href="50-figures.css">'
            + "".join(f'<script src="{name}"></script>' for name in ([before] if before else []))
            + '<script src="figures.js" defer></script>'
        )
        body = f'<body class="md-typeset">{html}</body>'
        (site / "index.html").write_text(f"<!doctype html><html><head>{head}</head>{body}", "utf-8")
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, java_script_enabled=script
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on(
            "console",
            lambda said: (
                errors.append(said.text)
                if said.type == "error" and "data:," not in said.text
                else None
            ),
        )
        page.set_default_timeout(10_000)
        page.goto(f"{running.url}{anchor}")
        return page

    yield opened
    for context in contexts:
        context.close()
    running.shutdown()
    running.server_close()
    assert errors == []
