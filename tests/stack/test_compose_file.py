"""docker-compose.yml: valid for a real Compose, hardened, and equal to the embedded stack.

No Docker engine is needed: a real compose binary reads the file, and the image's own set-up
program, which is among Kafka's jars, turns its environment into a broker's properties.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from scratch import running_broker, wait_until

from handbook import paths
from handbook.stack import compose, jars, kafka, settings, state

PROFILES = {"single": (), "cluster": ("--profile", "cluster")}
PASSWORD = {"POSTGRES_PASSWORD": "for-the-test"}


# --- a real compose binary ----------------------------------------------------------------------


@pytest.fixture(scope="session")
def binary() -> list[str]:
    """Debian's docker-compose 2, or the machine's own; else a skip with the reason."""
    reason = "this is not Debian, or not root"
    if os.geteuid() == 0 and shutil.which("apt-get") and shutil.which("dpkg-deb"):
        try:
            return [str(_from_debian(paths.cache_home() / "compose-trixie"))]
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired, StopIteration) as error:
            reason = f"Debian's package could not be had: {error!r}"
    if shutil.which("docker"):
        command = ["docker", "compose"]
        done = subprocess.run([*command, "version"], capture_output=True, check=False)
        if done.returncode == 0:
            return command
    pytest.skip(f"no compose binary: {reason}, and `docker compose` is not installed")


def _from_debian(home: Path) -> Path:
    """Debian 13's package, unpacked; older releases only have version 1."""
    found = home / "docker-compose"
    with state.locked(home / "lock"):
        if not found.exists():
            _download(home)
            unpacked = home / "usr" / "libexec" / "docker" / "cli-plugins" / "docker-compose"
            unpacked.replace(found)
            shutil.rmtree(home / "lists")
            shutil.rmtree(home / "usr")
    return found


def _download(home: Path) -> None:
    listing = ["apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI) $(COMPONENT)"]
    targets = subprocess.run(listing, check=True, capture_output=True, text=True).stdout
    origin = next(line.split()[1] for line in targets.splitlines() if _is_main_archive(line))
    keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
    for folder in ("lists/partial", "archives/partial"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    (home / "trixie.list").write_text(f"deb [signed-by={keys}] {origin} trixie main\n")
    options = {
        "Dir::Etc::SourceList": home / "trixie.list",
        "Dir::Etc::SourceParts": "-",
        "Dir::State::Lists": home / "lists",
        "Dir::Cache": home,
        "APT::Sandbox::User": "root",
    }
    apt = ["apt-get", "-q", *(f"-o{key}={value}" for key, value in options.items())]
    for command in ([*apt, "update"], [*apt, "download", "docker-compose"]):
        subprocess.run(command, check=True, capture_output=True, cwd=home, timeout=90)
    package = next(home.glob("docker-compose_2*.deb"))
    subprocess.run(["dpkg-deb", "-x", package, home], check=True, timeout=60)


def _is_main_archive(line: str) -> bool:
    return line.startswith("Debian ") and line.endswith(" main") and "security" not in line


def config(binary: list[str], *arguments: str, file: Path = compose.FILE) -> Any:
    """The file as Compose understands it."""
    command = [*binary, "--file", str(file), *arguments, "config", "--format", "json"]
    environment = {"PATH": os.environ["PATH"], **PASSWORD}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("profile", PROFILES)
def test_compose_file_is_valid_when_a_real_compose_reads_it(
    binary: list[str], profile: str
) -> None:
    """Each profile passes `config`, and holds PostgreSQL and its brokers."""
    services = set(config(binary, *PROFILES[profile])["services"])

    cluster = {"kafka-1", "kafka-2", "kafka-3"} if profile == "cluster" else set()
    assert services == {"postgres", "kafka"} | cluster


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("    read_only: true", "    read_onyl: true"),
        ("volumes:\n  postgres:", "volume:\n  postgres:"),
        ("mem_limit: 768m", "mem_limit: 768 apples"),
        ("profiles: [cluster]", "profiles: cluster"),
        ('volumes: ["kafka-2:/var', 'volumes: ["kafka-4:/var'),
    ],
)
def test_compose_file_is_refused_when_it_is_broken(
    binary: list[str], tmp_path: Path, right: str, wrong: str
) -> None:
    """The twin: a wrong key, type or name turns `config` red."""
    text = compose.FILE.read_text()
    assert right in text
    broken = tmp_path / "docker-compose.yml"
    broken.write_text(text.replace(right, wrong, 1))

    command = [*binary, "--file", str(broken), "--profile", "cluster", "config", "--quiet"]
    done = subprocess.run(command, capture_output=True, env=os.environ | PASSWORD, check=False)

    assert done.returncode != 0


def test_compose_says_what_to_do_when_no_password_is_set(binary: list[str]) -> None:
    """A plain `docker compose up` fails with the command that makes the password."""
    environment = {key: value for key, value in os.environ.items() if key not in PASSWORD}
    command = [*binary, "--file", str(compose.FILE), "config", "--quiet"]

    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

    assert done.returncode != 0
    assert "POSTGRES_PASSWORD" in done.stderr
    assert "handbook up --docker" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        "up --detach --wait --wait-timeout 300 postgres kafka",
        "rm --stop --force kafka",
        "ps --all --format json",
        "kill --signal SIGKILL postgres",
        "pause kafka",
        "unpause kafka",
        "up --detach --wait --no-deps kafka",
        "down --volumes",
    ],
)
def test_compose_knows_the_arguments_that_we_pass(binary: list[str], arguments: str) -> None:
    """Each command fails for want of an engine, not of a flag or a service."""
    command = [*binary, "--file", str(compose.FILE), "--profile", "cluster", *arguments.split()]
    env = os.environ | PASSWORD | {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}

    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)

    assert "Cannot connect to the Docker daemon" in done.stderr


# --- hardening ----------------------------------------------------------------------------------


def gaps(config: Any) -> list[str]:
    """What a container has that it should not have, or lacks."""
    found = []
    for name, service in config["services"].items():
        checks = {
            "a port beyond loopback": any(
                port.get("host_ip") != "127.0.0.1" for port in service["ports"]
            ),
            "no health check": not service.get("healthcheck"),
            "no memory limit": not service.get("mem_limit"),
            "new privileges": "no-new-privileges:true" not in service.get("security_opt", []),
            "capabilities": service.get("cap_drop") != ["ALL"],
            "a volume without a name": [v["type"] for v in service["volumes"]] != ["volume"],
            "more rights": bool(service.get("privileged")) or "network_mode" in service,
        }
        found += [f"{name}: {what}" for what, wrong in checks.items() if wrong]
    return found


def test_containers_are_hardened(binary: list[str]) -> None:
    """Loopback ports, health checks, limits, named volumes, no privileges beyond the needed."""
    assert gaps(config(binary, "--profile", "cluster")) == []


@pytest.mark.parametrize(
    "loosened",
    [
        {"ports": [{"target": 9092, "published": "9092"}]},
        {"healthcheck": None},
        {"mem_limit": None},
        {"security_opt": []},
        {"cap_drop": []},
        {"volumes": [{"type": "bind", "source": "/", "target": "/host"}]},
        {"privileged": True},
    ],
)
def test_hardening_check_bites_when_a_container_is_loosened(
    binary: list[str], loosened: dict[str, Any]
) -> None:
    """The twin: each loosened setting is found."""
    broken = copy.deepcopy(config(binary, "--profile", "cluster"))
    broken["services"]["kafka-2"] |= loosened

    assert [gap.partition(":")[0] for gap in gaps(broken)] == ["kafka-2"]


# --- the same as the embedded stack -------------------------------------------------------------


def differences(config: Any) -> list[str]:
    """Where versions or PostgreSQL's settings differ from the embedded stack's."""
    service = config["services"]["postgres"]
    options = dict(word.removeprefix("-c").split("=") for word in service["command"][1:])
    brokers = [s for name, s in config["services"].items() if name != "postgres"]
    pairs = {
        "PostgreSQL's version": (service["image"], f"postgres:{settings.POSTGRES_MAJOR}"),
        "Kafka's version": (
            {s["image"] for s in brokers},
            {f"apache/kafka:{settings.KAFKA_VERSION}"},
        ),
        "PostgreSQL's settings": (options, settings.POSTGRES),
        "Kafka's memory": (
            {s["environment"]["KAFKA_HEAP_OPTS"] for s in brokers},
            {f"-Xmx{settings.KAFKA_HEAP}"},
        ),
    }
    return [what for what, (here, there) in pairs.items() if here != there]


def test_compose_has_the_versions_and_settings_of_the_embedded_stack(binary: list[str]) -> None:
    """One handbook, one PostgreSQL and one Kafka, however they are started."""
    assert differences(config(binary, "--profile", "cluster")) == []


@pytest.mark.parametrize(
    ("right", "wrong", "found"),
    [
        ("postgres:${POSTGRES_TAG:-18}", "postgres:17", "PostgreSQL's version"),
        ("${KAFKA_TAG:-4.4.0}", "4.3.1", "Kafka's version"),
        ("-cwal_level=logical", "-cwal_level=replica", "PostgreSQL's settings"),
        ("-Xmx256m", "-Xmx1g", "Kafka's memory"),
    ],
)
def test_comparison_bites_when_compose_differs(
    binary: list[str], tmp_path: Path, right: str, wrong: str, found: str
) -> None:
    """The twin: another version or setting is named."""
    changed = tmp_path / "docker-compose.yml"
    changed.write_text(compose.FILE.read_text().replace(right, wrong))

    assert differences(config(binary, "--profile", "cluster", file=changed)) == [found]


# --- the image's own set-up program -------------------------------------------------------------


def properties_of(environment: dict[str, str], folder: Path) -> dict[str, str]:
    """What the image makes of an environment: its own program, run on its own paths."""
    jars.fetch()
    for name in ("default", "mounted", "final"):
        (folder / name).mkdir(parents=True)
    (folder / "default" / "server.properties").write_text("node.id=99\n")
    for name in ("log4j2.yaml", "tools-log4j2.yaml"):
        shutil.copyfile(kafka.LOG4J, folder / "default" / name)
    shutil.copyfile(kafka.LOG4J, folder / "log4j2.yaml")
    folders = [f"--{name}-configs-dir={name}" for name in ("default", "mounted", "final")]
    program = jars.java("kafka.docker.KafkaDockerWrapper", "setup", *folders)
    done = subprocess.run(
        program, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    text = (folder / "final" / "server.properties").read_text()
    shutil.copyfile(folder / "final" / "server.properties", folder / "server.properties")
    return dict(line.split("=", 1) for line in text.splitlines() if line)


def moved(environment: dict[str, str], ports: dict[str, int]) -> dict[str, str]:
    """The same environment on this host: container names, ports and paths replaced."""
    node = environment["INSIDE"].partition(":")[0]
    result = dict(environment)
    for listener, inside in (("HOST", 9092), ("INSIDE", 19092), ("CONTROLLER", 9093)):
        old, new = f"{listener}://:{inside}", f"{listener}://127.0.0.1:{ports[f'{node}:{inside}']}"
        assert old in result["KAFKA_LISTENERS"]
        result["KAFKA_LISTENERS"] = result["KAFKA_LISTENERS"].replace(old, new)
    for address, port in ports.items():
        for key in ("KAFKA_ADVERTISED_LISTENERS", "KAFKA_CONTROLLER_QUORUM_VOTERS"):
            result[key] = result[key].replace(address, f"127.0.0.1:{port}")
    return result | {"KAFKA_LOG_DIRS": "data"}


def embedded_properties(brokers: int) -> dict[str, str]:
    """What must be equal: everything but names, addresses and paths."""
    return settings.KAFKA | settings.kafka_replication(brokers)


OWN = {  # what a container must say and the embedded broker says otherwise
    "node.id", "process.roles", "controller.quorum.voters", "controller.listener.names",
    "listeners", "advertised.listeners", "listener.security.protocol.map",
    "inter.broker.listener.name", "log.dirs", "heap.opts",
}  # fmt: skip


@pytest.mark.parametrize("profile", PROFILES)
def test_brokers_answer_when_started_from_the_compose_environment(
    binary: list[str], tmp_path: Path, profile: str
) -> None:
    """The image's program makes our settings of it, and real brokers run on them."""
    services = config(binary, *PROFILES[profile])["services"]
    names = ["kafka"] if profile == "single" else ["kafka-1", "kafka-2", "kafka-3"]
    free = iter(state.free_ports(3 * len(names)))
    ports = {f"{name}:{inside}": next(free) for name in names for inside in (9092, 19092, 9093)}
    published = {name: services[name]["ports"][0]["published"] for name in names}
    ports |= {f"127.0.0.1:{published[name]}": ports[f"{name}:9092"] for name in names}

    with contextlib.ExitStack() as running:
        for name in names:
            environment = moved(services[name]["environment"], ports)
            made = properties_of(environment, tmp_path / name)
            same = {key: value for key, value in made.items() if key not in OWN}
            assert same == embedded_properties(len(names))
            running.enter_context(running_broker(tmp_path / name))

        everyone = set(range(1, len(names) + 1))
        for name in names:
            port = ports[f"{name}:9092"]
            wait_until(lambda port=port: kafka.brokers(port) == everyone, f"{name} on {port}")  # type: ignore[misc]


def test_comparison_bites_when_a_kafka_setting_differs(binary: list[str], tmp_path: Path) -> None:
    """The twin: a changed and a missing property are both seen."""
    environment = config(binary)["services"]["kafka"]["environment"]
    names = ("kafka:9092", "kafka:19092", "kafka:9093")
    environment = moved(environment, dict(zip(names, state.free_ports(3), strict=True)))
    environment["KAFKA_NUM_PARTITIONS"] = "7"
    del environment["KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS"]

    made = properties_of(environment, tmp_path / "node")

    wanted = embedded_properties(1)
    assert {key for key in wanted if made.get(key) != wanted[key]} == {
        "num.partitions",
        "group.min.session.timeout.ms",
    }
