"""Build the site into a folder of its own and put it in place only when every check has passed."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from handbook.errors import CheckFailedError
from handbook.site import coverage, csp, gates, links
from handbook.site.problems import Problem, refuse
from handbook.site.project import Project

SOURCES = (
    "mkdocs.yml",
    "package-lock.json",
    "docs",
    "notebooks",
    "snippets",
    "tests",
    "theme",
    "handbook/site",
)
STAMP = "site-sources.txt"
FRESH = "site-"


@dataclass(frozen=True)
class Built:
    """What a build made."""

    folder: Path
    pages: int
    seconds: float


def build(project: Project, *, strict: bool = True) -> Built:
    """Build, check the links of the result, and replace the old site by it.

    A build that fails leaves the old site as it was.

    Raises:
        CheckFailedError: a page, a link or a lab is broken; names each place.
    """
    start = time.monotonic()
    with _alone(project.build):
        sources = fingerprint(project)
        fresh = project.build / f"{FRESH}{os.getpid()}"
        try:
            address = render(project, fresh, strict=strict)
            problems = [*links.check(fresh, urlsplit(address).path), *csp.check(fresh)]
            refuse(problems, "the built site")
            _swap(fresh, project.site)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        (project.build / STAMP).write_text(sources, encoding="utf-8")
    pages = sum(1 for _ in project.site.rglob("*.html"))
    return Built(project.site, pages, round(time.monotonic() - start, 2))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One build at a time; what a killed one left behind is removed."""
    folder.mkdir(exist_ok=True)
    with (folder / "site.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in folder.glob(f"{FRESH}[0-9]*"):
            shutil.rmtree(left, ignore_errors=True)
        yield


def render(project: Project, folder: Path, *, strict: bool = True) -> str:
    """Run MkDocs into `folder`.

    Returns:
        The address that the site will have; empty when it is not known.

    Raises:
        CheckFailedError: MkDocs refused, or warned in strict mode.
    """
    # Material prints an advertisement of its successor on every build.
    os.environ.setdefault("NO_MKDOCS_2_WARNING", "1")
    from mkdocs.commands.build import build as mkdocs_build
    from mkdocs.config import load_config
    from mkdocs.exceptions import Abort, MkDocsException

    with _warnings() as said:
        try:
            config = load_config(str(project.config), strict=strict, site_dir=str(folder))
            config.plugins.on_startup(command="build", dirty=False)
            mkdocs_build(config)
            config.plugins.on_shutdown()
            return config.site_url or ""
        except (Abort, MkDocsException, SystemExit) as error:
            listed = "\n  ".join(said) or str(error)
            raise CheckFailedError(
                f"the site does not build:\n  {listed}", "mend the places named above"
            ) from error


def is_stale(project: Project) -> bool:
    """Whether the site is missing or older than what it is made of."""
    stamp = project.build / STAMP
    if not (project.site / "index.html").is_file() or not stamp.is_file():
        return True
    return stamp.read_text(encoding="utf-8") != fingerprint(project)


def fingerprint(project: Project) -> str:
    """Changes with any source file of the site: its name, size or time of change."""
    return _digest(project, _sources(project))


def surroundings(project: Project) -> str:
    """Changes with everything that a page may be made of beside its own text."""
    names = project.pages()
    pages = {project.docs / name for name in names}
    around = (path for path in _sources(project) if path not in pages)
    return "\n".join([*names, _digest(project, around)])


def _digest(project: Project, files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(files):
        try:
            stat = path.stat()
        except FileNotFoundError:  # an editor is just replacing it
            continue
        name = path.relative_to(project.root).as_posix()
        digest.update(f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _sources(project: Project) -> Iterator[Path]:
    for name in (*SOURCES, "build/labs.json"):
        path = project.root / name
        if path.is_dir():
            yield from (
                file
                for file in path.rglob("*")
                if file.is_file() and "__pycache__" not in file.parts
            )
        elif path.exists():
            yield path


def _swap(fresh: Path, target: Path) -> None:
    """Two renames: a reader never sees half a site."""
    old = fresh.with_name(f"{fresh.name}-old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    fresh.rename(target)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """Everything that MkDocs and its plugins warn about, as text."""
    said: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    logger = logging.getLogger("mkdocs")
    handler = Collect(level=logging.WARNING)
    logger.addHandler(handler)
    try:
        yield said
    finally:
        logger.removeHandler(handler)


def page_problems(project: Project) -> list[Problem]:
    """Everything that can be wrong in the sources, without building."""
    return gates.check_pages(project) + gates.orphans(project, coverage.load(project).orphans)
