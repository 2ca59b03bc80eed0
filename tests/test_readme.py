"""The README says what is: its figures, commands, links and picture."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import report

from handbook import paths

README = (paths.ROOT / "README.md").read_text(encoding="utf-8")
HANDBOOK = Path(sys.executable).with_name("handbook")


def commands(text: str) -> set[str]:
    """Every `handbook …` command that the text shows, without its arguments."""
    return {f"{found} --help" for found in re.findall(r"[/`]handbook ((?:labs )?[a-z]+)\b", text)}


def links(text: str) -> list[str]:
    """Targets of links and pictures that are files of this project."""
    return [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]


def test_figures_are_those_of_the_stored_results() -> None:
    """The table is what the benchmarks' results say."""
    assert report.filled(README) == README


def test_figures_rule_is_red_when_a_number_was_typed() -> None:
    """Twin: a number changed by hand is noticed."""
    typed = README.replace("| ≤ 1.2 |", "| ≤ 1.1 |")

    assert typed != README
    assert report.filled(typed) != typed


@pytest.mark.parametrize("link", links(README))
def test_link_of_the_readme_leads_to_a_file(link: str) -> None:
    """Every file the README names exists."""
    assert (paths.ROOT / link).exists()


@pytest.mark.parametrize("command", sorted(commands(README)))
def test_command_of_the_readme_exists(command: str) -> None:
    """Every handbook command in the README is one."""
    done = subprocess.run([HANDBOOK, *command.split()], capture_output=True, check=False)

    assert done.returncode == 0
