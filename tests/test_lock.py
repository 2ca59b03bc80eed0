"""requirements.txt: in step with pyproject.toml, hashed, and free of any host."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from handbook import paths

UV = Path(sys.executable).with_name("uv")
REQUIREMENT = re.compile(r"(?P<name>[a-z0-9][a-z0-9.-]*)==(?P<version>[^ ;]+)(?: ; [^\\]+?)? \\")


def problems(lock: str) -> list[str]:
    """What a lock must not be: unpinned, without a hash, or tied to a host."""
    found = []
    blocks = re.split(r"\n(?=[^ #\n])", lock.strip())
    for block in blocks:
        first, *rest = block.splitlines()
        if not REQUIREMENT.fullmatch(first):
            found.append(f"not a pinned requirement: {first}")
        elif not any(line.startswith("    --hash=sha256:") for line in rest):
            found.append(f"no hash: {first}")
    found += [f"a host: {line}" for line in lock.splitlines() if re.search(r"://|--.*index", line)]
    return found


def compiled(folder: Path) -> str:
    """`make lock` in `folder`, from the package cache alone where that suffices."""
    recipe = (paths.ROOT / "Makefile").read_text().partition("\nlock: setup\n")[2]
    arguments = recipe.partition("\n\n")[0].replace("\\\n", " ").split()[1:]
    command = [str(UV), *arguments]
    for extra in (["--offline"], []):
        done = subprocess.run(
            [*command, *extra], cwd=folder, capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            return (folder / "requirements.txt").read_text()
    if "Failed to fetch" in done.stderr or "error sending request" in done.stderr:
        pytest.skip(f"the package index cannot be reached: {done.stderr.splitlines()[0]}")
    pytest.fail(done.stderr)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the two files."""
    for name in ("pyproject.toml", "requirements.txt"):
        shutil.copyfile(paths.ROOT / name, tmp_path / name)
    return tmp_path


def test_lock_is_in_step_with_pyproject(project: Path) -> None:
    """Compiling again, with the locked versions preferred, changes nothing."""
    before = (project / "requirements.txt").read_text()

    assert compiled(project) == before, "run `make lock` and commit requirements.txt"


def test_lock_check_bites_when_pyproject_changes(project: Path) -> None:
    """The twin: one more dependency, and the compiled lock is another."""
    before = (project / "requirements.txt").read_text()
    text = (project / "pyproject.toml").read_text()
    changed = text.replace("dependencies = [", 'dependencies = [\n    "certifi>=1",', 1)
    assert changed != text
    (project / "pyproject.toml").write_text(changed)

    assert compiled(project) != before


def test_lock_is_pinned_hashed_and_names_no_host() -> None:
    """Every requirement has one version and a hash; the file works with any mirror."""
    assert problems((paths.ROOT / "requirements.txt").read_text()) == []


@pytest.mark.parametrize(
    ("lock", "found"),
    [
        ("certifi>=1 \\\n    --hash=sha256:aa", "not a pinned"),
        ("certifi==1.0 \\\n    # via requests", "no hash"),
        ("certifi==1.0", "not a pinned"),
        ("--index-url x\ncertifi==1.0 \\\n    --hash=sha256:aa", "a host"),
        ("certifi @ https://mirror.test/certifi.whl \\\n    --hash=sha256:aa", "a host"),
    ],
)
def test_lock_check_bites_when_a_line_is_loose(lock: str, found: str) -> None:
    """The twin: an open version, a missing hash, an index, a direct address."""
    assert any(found in problem for problem in problems(lock))
