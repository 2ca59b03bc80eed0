"""`handbook new`, and the writing guide that uses it: its commands run as they stand there."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from handbook import paths
from handbook.errors import UsageError
from handbook.notebooks import canonical, gate, new_lab
from handbook.site import gates, new_page
from handbook.site.problems import Problem
from handbook.site.project import Project
from handbook.stack import Stack

GUIDE = "docs/reference/writing/index.md"
FENCE = re.compile(r"^(`{3,})(\w+)\n(.*?)^\1$", re.MULTILINE | re.DOTALL)
MAIN = "from handbook.cli import main; main()"
LAB, PAGE = "90-practice", "events/practice"


def fences(language: str) -> list[str]:
    """The code blocks of that language in the guide."""
    text = (paths.ROOT / GUIDE).read_text("utf-8")
    return [code for _, name, code in FENCE.findall(text) if name == language]


def commands() -> Iterator[list[str]]:
    """The guide's commands, in order, without the environment's folder."""
    for line in "".join(fences("sh")).splitlines():
        program, *arguments = shlex.split(line)
        assert program == ".venv/bin/handbook"
        yield arguments


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The files that git knows, as they are now."""
    place = tmp_path_factory.mktemp("guide") / "checkout"
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=paths.ROOT, check=True, capture_output=True, text=True)
    for name in filter(None, names.stdout.split("\0")):
        if (paths.ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(paths.ROOT / name, place / name)
    return Project(place)


def start(copy: Project, *arguments: str) -> subprocess.Popen[str]:
    """`handbook` of the copy."""
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, *arguments],
        cwd=copy.root,
        env={**os.environ, "PYTHONPATH": str(copy.root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(copy: Project, *arguments: str) -> str:
    """What a command says; it must succeed."""
    process = start(copy, *arguments)
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 0, f"handbook {' '.join(arguments)}\n{said}"
    return said


def served(copy: Project, *arguments: str) -> str:
    """The last line of `handbook serve`, which is then stopped."""
    process = start(copy, *arguments, "--port", "0")
    assert process.stdout
    try:
        for line in process.stdout:
            if line.startswith("문서: "):
                return line.strip()
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    raise AssertionError("the server told no address")


@pytest.mark.stack
@pytest.mark.timeout(400)
def test_guide_leads_to_a_checked_page_when_it_is_followed(copy: Project, stack: Stack) -> None:
    """Each command runs as written; page and lab are on the site, verified; examples are right."""
    for arguments in commands():
        if arguments[0] == "serve":
            assert re.fullmatch(r"문서: http://127\.0\.0\.1:\d+/", served(copy, *arguments))
        else:
            run(copy, *arguments)

    page = (copy.site / f"{PAGE}/index.html").read_text("utf-8")
    assert "도중에 멈추면 무엇이 남습니까" in page
    assert "proof--verified" in page
    assert "proof--unverified" not in page
    assert (copy.site / f"labs/{LAB}/index.html").is_file()
    assert LAB in json.loads((copy.build / "labs.json").read_text("utf-8"))
    assert examples(copy) == []


def examples(copy: Project) -> list[Problem]:
    """What the gates say to the guide's examples of page syntax, put on one page."""
    written = "\n".join(fences("markdown")).replace(";--8<--", "--8<--")
    page = copy.docs / "reference/examples.md"
    page.write_text(f"# 보기 {{#examples}}\n\n{written}", "utf-8")
    found = gates.check_page(copy, "reference/examples.md")
    page.unlink()
    return found


def test_guide_shows_messages_that_exist() -> None:
    """Whoever sees a red line finds it in the guide by its words."""
    guide = (paths.ROOT / GUIDE).read_text("utf-8")
    table = guide.partition("| 메시지 |")[2]
    shown = re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)
    code = "".join(path.read_text("utf-8") for path in (paths.ROOT / "handbook").rglob("*.py"))
    assert len(shown) > 10
    assert [message for message in shown if message not in code] == []


def test_guide_names_every_part_that_can_be_waived() -> None:
    """The schema knows no part that the guide does not."""
    schema = json.loads((paths.ROOT / "docs/_data/schema/page.schema.json").read_text("utf-8"))
    guide = (paths.ROOT / GUIDE).read_text("utf-8")
    parts = schema["properties"]["waive"]["propertyNames"]["enum"]
    assert [part for part in parts if f"`{part}`" not in guide and f"`#{part}`" not in guide] == []


def test_page_without_a_lab_is_green_when_it_is_new(copy: Project) -> None:
    """What needs a lab is waived, and the reasons are there to be rewritten."""
    run(copy, "new", "page", "why/practice")
    assert run(copy, "pages", "check").rstrip().endswith("pages are in order")
    text = (copy.docs / "why/practice.md").read_text("utf-8")
    for part in new_page.WAIVED:
        assert f"  {part}: " in text


# What is refused


def project_at(place: Path) -> Project:
    """An almost empty checkout."""
    for folder in ("docs/events", "notebooks"):
        (place / folder).mkdir(parents=True)
    (place / "mkdocs.yml").write_text("nav:\n  - 홈: index.md\n", "utf-8")
    return Project(place)


@pytest.mark.parametrize(
    "slug", ["relay", "events/Relay", "labs/relay", "gone/relay", "events/a/b"]
)
def test_page_is_refused_when_its_name_is_none(tmp_path: Path, slug: str) -> None:
    """A topic lies in the folder of a tab; nothing is written."""
    project = project_at(tmp_path)
    with pytest.raises(UsageError, match="cannot name a topic"):
        new_page.create(project, slug, None, None)
    assert list(project.docs.rglob("*.md")) == []


def test_page_is_refused_when_it_exists(tmp_path: Path) -> None:
    """Nothing that somebody wrote is overwritten."""
    project = project_at(tmp_path)
    new_page.create(project, "events/relay", None, None)
    page = project.docs / "events/relay.md"
    page.write_text("mine", "utf-8")
    with pytest.raises(UsageError, match=r"docs/events/relay\.md exists"):
        new_page.create(project, "events/relay", None, None)
    assert page.read_text("utf-8") == "mine"


def test_page_is_refused_when_its_lab_cannot_be_shown(tmp_path: Path) -> None:
    """An unknown lab, or one that was never run, is named with what to do."""
    project = project_at(tmp_path)
    with pytest.raises(UsageError, match="there is no lab `14-relay`"):
        new_page.create(project, "events/relay", None, "14-relay")
    new_lab.create(project, "14-relay", None, 23)
    with pytest.raises(UsageError, match="was never run") as refused:
        new_page.create(project, "events/relay", None, "14-relay")
    assert refused.value.next_step == "run `handbook labs regenerate 14-relay`"
    assert not (project.docs / "events/relay.md").exists()


@pytest.mark.parametrize("name", ["relay", "1-relay", "14_relay", "14-Relay", "14-", "../14-relay"])
def test_lab_is_refused_when_its_name_is_none(tmp_path: Path, name: str) -> None:
    """The number orders the labs."""
    with pytest.raises(UsageError, match="cannot name a lab"):
        new_lab.create(project_at(tmp_path), name, None, 0)


def test_lab_is_refused_when_its_number_is_taken(tmp_path: Path) -> None:
    """The next free number is offered."""
    project = project_at(tmp_path)
    new_lab.create(project, "01-one", None, 0)
    with pytest.raises(UsageError, match="belongs to the lab `01-one`") as refused:
        new_lab.create(project, "01-two", None, 0)
    assert refused.value.next_step == "use 02-two"


def test_lab_lacks_nothing_but_its_run_when_it_is_new(tmp_path: Path) -> None:
    """Names, order and form pass the structural gate; the outputs are not made up."""
    path = new_lab.create(project_at(tmp_path), "14-relay", '물음 "하나"', 23)
    text = path.read_text("utf-8")
    found = gate.check("14-relay", text)
    assert {finding.problem for finding in found} == {
        "the cell was not run",
        "an experiment that shows nothing",
    }
    assert text == canonical.text(json.loads(text))
    assert "E23" in text
    assert '"e23-invariant"' in text


# The navigation

NAV = """\
site_name: x
nav:
  - 홈: index.md
  - 이벤트와 재시도:
      - events/outbox.md
  - 실습:
      - labs/index.md
      - labs/*
  - 참고:
      - 결정 기록:
          - reference/decisions/*

theme:
  name: material
"""


@pytest.mark.parametrize(
    ("page", "after", "added"),
    [
        ("events/relay.md", "      - events/outbox.md\n", "      - events/relay.md\n"),
        ("saga/failing.md", "  - 홈: index.md\n", "  - 보상과 사가:\n      - saga/failing.md\n"),
        (
            "operations/ec2.md",
            "      - events/outbox.md\n",
            "  - 운영·인수인계:\n      - operations/ec2.md\n",
        ),
    ],
)
def test_navigation_gets_the_page_at_the_end_of_its_tab(page: str, after: str, added: str) -> None:
    """A tab that is new stands in the order of the site's tabs."""
    assert new_page.in_navigation(NAV, page) == NAV.replace(after, after + added, 1)


def test_navigation_gets_a_tab_at_its_end_when_none_follows() -> None:
    """Also when the file ends there."""
    assert new_page.in_navigation("nav:\n  - 홈: index.md\n", "saga/a.md") == (
        "nav:\n  - 홈: index.md\n  - 보상과 사가:\n      - saga/a.md\n"
    )
