"""The GitHub Actions workflow: valid, safe, least privileged, and publishing only main."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from edits import replace

from handbook import paths

WORKFLOW = paths.ROOT / ".github" / "workflows" / "ci.yml"
BIN = Path(sys.executable).parent


def schema_check(file: Path) -> bool:
    """True when the file fits GitHub's schema."""
    command: list[str | Path] = [
        BIN / "check-jsonschema",
        "--builtin-schema",
        "vendor.github-workflows",
        file,
    ]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def security_check(file: Path) -> bool:
    """True when zizmor has nothing to say, the pedantic included."""
    command: list[str | Path] = [BIN / "zizmor", "--offline", "--pedantic", "--no-progress", file]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def policy(text: str) -> list[str]:
    """What we ask beyond the linters."""
    workflow: dict[str, Any] = yaml.safe_load(text)
    jobs = workflow["jobs"]
    publish, others = jobs["publish"], [job for name, job in jobs.items() if name != "publish"]
    steps = [step for job in jobs.values() for step in job["steps"]]
    rules = {
        "no rights by default": workflow["permissions"] == {},
        "reading only": all(job["permissions"] == {"contents": "read"} for job in others),
        "publishing needs all checks": set(publish["needs"]) == set(jobs) - {"publish"},
        "only main is published": "refs/heads/main" in publish["if"] and "push" in publish["if"],
        "every job ends": all("timeout-minutes" in job for job in jobs.values()),
        "actions are pinned": all(
            re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", step["uses"]) for step in steps if "uses" in step
        ),
        "oldest and newest Python": jobs["test"]["strategy"]["matrix"]["python"]
        == ["3.11", "3.13"],
        "labs run on containers": [step.get("run") for step in jobs["compose"]["steps"]].count(
            ".venv/bin/handbook labs check"
        )
        == 1,
    }
    return [rule for rule, kept in rules.items() if not kept]


def test_workflow_fits_the_schema_and_is_safe() -> None:
    """Both linters and our own rules are content."""
    assert schema_check(WORKFLOW)
    assert security_check(WORKFLOW)
    assert policy(WORKFLOW.read_text()) == []


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copyfile(WORKFLOW, tmp_path / "ci.yml"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("runs-on:", "run-on:"),
        ("timeout-minutes: 45", "timeout-minutes: soon"),
        ("    steps:\n", "    step:\n"),
    ],
)
def test_schema_check_bites_when_a_key_is_wrong(broken: Path, old: str, new: str) -> None:
    """The twin: a wrong key or type goes red."""
    replace(broken, old, new)

    assert not schema_check(broken)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("permissions: {}", "permissions: write-all"),
        ("@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1", "@v7"),
        ("          persist-credentials: false\n", "          fetch-depth: 1\n"),
        ("run: make setup", "run: echo ${{ github.head_ref }}"),
    ],
)
def test_security_check_bites_when_something_is_unsafe(broken: Path, old: str, new: str) -> None:
    """The twin: wide rights, a moving tag, kept credentials, injected text go red."""
    replace(broken, old, new)

    assert not security_check(broken)


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("needs: [test, compose]", "needs: [test]", "publishing needs all checks"),
        ("github.ref == 'refs/heads/main' && github.event_name", "github.event_name", "only main"),
        ("    timeout-minutes: 20\n", "", "every job ends"),
        ("contents: read", "contents: write", "reading only"),
        ("labs check", "labs list", "labs run on containers"),
    ],
)
def test_policy_bites_when_a_rule_is_broken(broken: Path, old: str, new: str, rule: str) -> None:
    """The twin: each rule is named when it is broken."""
    replace(broken, old, new)

    assert [found.startswith(rule) for found in policy(broken.read_text())] == [True]
