"""Print `kafka.lock` anew: for whoever moves to another version of Kafka. Needs the network.

python -m handbook.stack.lock_kafka 4.4.0 > kafka.lock.new
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path

from jgo.env import EnvironmentBuilder, LinkStrategy, LockFile
from jgo.maven import MavenContext

from handbook.stack.settings import Jar

KAFKA = "org.apache.kafka:kafka_2.13"
LOG4J = "org.apache.logging.log4j"


def jars_of(version: str) -> list[Jar]:
    """Every jar on the broker's classpath, and the one that lets it log."""
    with tempfile.TemporaryDirectory() as folder:
        context = MavenContext(repo_cache=Path(folder) / "m2", local_repos=[], timeout=30)
        found = _resolved(f"{KAFKA}:{version}", context, Path(folder))
        # Alone: resolved as one endpoint with Kafka it silently downgrades kafka-clients to 3.9.
        bridge = f"{LOG4J}:log4j-slf4j-impl:{_version(found, 'log4j-core')}"
        logging = _resolved(bridge, context, Path(folder))
        return sorted(
            [*found, *(jar for jar in logging if jar.artifact == "log4j-slf4j-impl")],
            key=lambda jar: (jar.group, jar.artifact),
        )


def _resolved(endpoint: str, context: MavenContext, folder: Path) -> list[Jar]:
    builder = EnvironmentBuilder(
        context=context, cache_dir=folder / "jgo", link_strategy=LinkStrategy.HARD
    )
    lock = LockFile.load(builder.from_endpoint(endpoint).lock_path)
    return [
        _jar(context, found.groupId, found.artifactId, found.version) for found in lock.dependencies
    ]


def _jar(context: MavenContext, group: str, artifact: str, version: str) -> Jar:
    content = context.project(group, artifact).at_version(version).artifact().resolve().read_bytes()
    return Jar(group, artifact, version, hashlib.sha256(content).hexdigest(), len(content))


def _version(jars: list[Jar], artifact: str) -> str:
    return next(jar.version for jar in jars if jar.artifact == artifact)


if __name__ == "__main__":
    for jar in jars_of(sys.argv[1]):
        coordinate = f"{jar.group}:{jar.artifact}:{jar.version}"
        sys.stdout.write(f"{coordinate} {jar.sha256} {jar.size}\n")
