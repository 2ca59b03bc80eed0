"""`make` and what it calls, in a copy of this checkout: explains, sets up, repairs, cleans."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from handbook import paths

UV = Path(sys.executable).with_name("uv")
BASE = Path(sys.base_prefix) / "bin" / "python3"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the checkout that is the test's own."""
    return copied(tmp_path / "a checkout")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy that many tests share, for setting up takes seconds."""
    return copied(tmp_path_factory.mktemp("make") / "shared checkout")


@pytest.fixture
def ready(shared: Path) -> Path:
    """The shared copy, set up, whatever the test before did to it."""
    done = make(shared, "setup")
    assert done.returncode == 0, done.stderr
    return shared


def copied(place: Path) -> Path:
    """The files that git knows, as they are now, in `place`."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=paths.ROOT, check=True, capture_output=True, text=True)
    for name in filter(None, names.stdout.split("\0")):
        if (paths.ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(paths.ROOT / name, place / name)
    return place


def stubs(folder: Path, **scripts: str) -> str:
    """A PATH with these programs before the system's; returns it."""
    folder.mkdir(exist_ok=True)
    for name, script in scripts.items():
        program = folder / name.replace("_", "-")
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def make(
    checkout: Path, *arguments: str, program: str = "make", **env: str
) -> subprocess.CompletedProcess[str]:
    """Run `make` as a reader in a fresh shell does, with our uv on the PATH."""
    path = stubs(checkout.parent / "uv-bin", uv=f'exec "{UV}" "$@"')
    # Of the `make test` that may have started us, a reader's shell knows nothing.
    ours = ("VIRTUAL_ENV", "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKE_TERMERR", "MAKE_TERMOUT")
    clean = {k: v for k, v in os.environ.items() if k not in ours}
    clean |= {"PATH": path, "PYTHON": str(BASE)} | env
    return subprocess.run(
        [program, *arguments], cwd=checkout, env=clean, capture_output=True, text=True, check=False
    )


def works(checkout: Path) -> bool:
    """True when the environment has the command."""
    command = [str(checkout / ".venv" / "bin" / "handbook"), "--version"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


# --- explaining ---------------------------------------------------------------------------------


def test_make_explains_every_target_when_called_without_one(checkout: Path) -> None:
    """`make` alone changes nothing and names what there is."""
    done = make(checkout)

    phony = re.search(r"^\.PHONY: (.+)$", (checkout / "Makefile").read_text(), re.MULTILINE)
    assert phony
    for target in set(phony[1].split()) - {"help"}:
        assert f"make {target}" in done.stdout
    assert not (checkout / ".venv").exists()


def test_test_runs_everything_and_ends_with_pytest(checkout: Path) -> None:
    """The closing line of the whole run is pytest's own."""
    done = make(checkout, "--dry-run", "test")

    commands = ("ruff check", "mypy", "handbook labs check", "handbook build", "pytest")
    positions = [done.stdout.index(f".venv/bin/{command}") for command in commands]
    assert positions == sorted(positions)
    assert done.stdout.strip().splitlines()[-1].startswith(".venv/bin/pytest")


def test_ci_run_calls_make_test(checkout: Path, tmp_path: Path) -> None:
    """`.ci/run`, called from anywhere, is `make test` and keeps its exit code."""
    path = stubs(tmp_path / "bin", make='pwd; echo "make $@"; exit 7')

    done = subprocess.run(
        ["bash", str(checkout / ".ci" / "run")],
        cwd="/", env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.stdout.splitlines() == [str(checkout), "make test"]
    assert done.returncode == 7


# --- setting up ---------------------------------------------------------------------------------


def test_setup_makes_the_environment_and_is_instant_when_repeated(ready: Path) -> None:
    """The first time installs the lock; the second takes less than 0.3 s."""
    assert works(ready)

    seconds = []
    for _ in range(5):
        began = time.monotonic()
        again = make(ready, "setup")
        seconds.append(time.monotonic() - began)
        assert (again.returncode, again.stdout + again.stderr) == (0, "")
    assert min(seconds) < 0.3


@pytest.mark.parametrize("file", ["requirements.txt", "pyproject.toml"])
def test_setup_runs_again_when_its_sources_change(ready: Path, file: str) -> None:
    """A pulled change of the lock or the project reaches the environment."""
    with (ready / file).open("a") as text:
        text.write("# changed\n")

    done = make(ready, "setup")

    assert done.returncode == 0
    assert "installing" in done.stderr
    assert make(ready, "setup").stderr == ""


def test_setup_begins_anew_when_the_checkout_moved(ready: Path) -> None:
    """An environment's scripts hold its path: a moved one is made again."""
    moved = ready.rename(ready.parent / "moved")
    try:
        assert make(moved, "setup").returncode == 0
        assert works(moved)
        for name in ("handbook", "pytest"):
            assert str(moved) in (moved / ".venv" / "bin" / name).read_text()
    finally:
        moved.rename(ready)


def test_setup_is_repaired_when_it_was_killed(checkout: Path) -> None:
    """SIGKILL in the middle of installing leaves nothing that the next call does not mend."""
    path = stubs(checkout.parent / "uv-bin", uv=f'exec "{UV}" "$@"')
    process = subprocess.Popen(
        ["./setup.sh"], cwd=checkout, start_new_session=True, stderr=subprocess.DEVNULL,
        env=os.environ | {"PATH": path, "PYTHON": str(BASE)},
    )  # fmt: skip
    site_packages = checkout / ".venv" / "lib"
    deadline = time.monotonic() + 30
    while len(list(site_packages.glob("*/site-packages/*"))) < 10:
        assert time.monotonic() < deadline
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (checkout / ".venv" / ".setup-done").exists()

    assert make(checkout, "setup").returncode == 0
    assert works(checkout)


def test_setup_begins_anew_when_the_interpreter_is_gone(ready: Path) -> None:
    """An upgraded system Python leaves dangling links: the environment is made again."""
    for name in ("python", "python3"):
        link = ready / ".venv" / "bin" / name
        link.unlink()
        link.symlink_to("/nonexistent/python")

    assert make(ready, "setup").returncode == 0
    assert works(ready)


# --- what may be missing ------------------------------------------------------------------------


def test_setup_says_so_when_no_python_fits(checkout: Path, tmp_path: Path) -> None:
    """Only old interpreters: the wanted versions and the way to name one; nothing is made."""
    names = ("python", "python3", *(f"python3.{n}" for n in range(11, 16)))
    folder = tmp_path / "old"
    path = stubs(folder, **dict.fromkeys(names, "exit 1"))

    done = make(checkout, program="./setup.sh", PATH=path, PYTHON="")

    assert done.returncode == 3
    assert "3.11 and 3.14" in done.stderr
    assert "next: install" in done.stderr
    assert not (checkout / ".venv").exists()


def test_setup_says_so_when_the_named_python_does_not_fit(checkout: Path) -> None:
    """PYTHON=… is tried, not believed; make passes the failure on."""
    done = make(checkout, "setup", PYTHON="/bin/false")

    assert done.returncode == 2  # make's own code for a failed recipe
    assert "/bin/false" in done.stderr


def test_setup_says_so_when_there_is_no_network(checkout: Path, tmp_path: Path) -> None:
    """An empty cache and no index: advice, and the next call with a network mends all."""
    done = make(
        checkout, program="./setup.sh", UV_CACHE_DIR=str(tmp_path / "empty"), UV_OFFLINE="1"
    )

    assert done.returncode == 3
    assert "check the network" in done.stderr
    assert make(checkout, "setup").returncode == 0
    assert works(checkout)


def test_setup_fetches_the_locked_uv_when_there_is_none(checkout: Path, tmp_path: Path) -> None:
    """With only Python and pip: uv comes by its hash into a folder of its own."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "cat", "cksum", "sed", "rm", "mv", "mkdir", "touch", "dirname", "grep"):
        (tools / name).symlink_to(shutil.which(name) or "")

    done = make(checkout, program="./setup.sh", PATH=str(tools))

    if "uv could not be installed" in done.stderr:
        pytest.skip("the package index cannot be reached")
    assert done.returncode == 0, done.stderr
    assert (checkout / ".venv-boot" / "bin" / "uv").exists()
    assert works(checkout)


def test_browser_says_so_when_none_can_be_had(checkout: Path, tmp_path: Path) -> None:
    """No Chromium and not root: what to install, exit code 3."""
    tools = tmp_path / "bin"
    path = stubs(tools, id="echo 1000").split(":")[0]
    for name in ("sh", "grep"):
        (tools / name).symlink_to(shutil.which(name) or "")

    done = make(checkout, program="./browser.sh", PATH=path, CHROMIUM="")

    assert done.returncode == 3
    assert "CHROMIUM=" in done.stderr


def test_browser_is_content_when_a_chromium_is_named(checkout: Path, tmp_path: Path) -> None:
    """$CHROMIUM is enough."""
    path = stubs(tmp_path / "bin", my_chrome="exit 0")

    assert make(checkout, program="./browser.sh", PATH=path, CHROMIUM="my-chrome").returncode == 0


# --- cleaning -----------------------------------------------------------------------------------


def test_clean_leaves_only_what_git_knows(ready: Path) -> None:
    """After set-up and a few products, `make clean` gives the fresh clone back."""
    for folder in ("build", "site", ".stack"):
        (ready / folder).mkdir(exist_ok=True)
        (ready / folder / "product").touch()

    done = make(ready, "clean", HANDBOOK_STACK_HOME=str(ready / ".stack"))

    assert done.returncode == 0, done.stderr
    fresh = copied(ready.parent / "fresh")
    assert files(ready) == files(fresh)


def files(folder: Path) -> set[str]:
    """Every file below, relative."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
