"""The embedded stack of one checkout: real servers from packages, no container, no root needed."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path

import psutil

from handbook import paths
from handbook.errors import StackError, UsageError
from handbook.stack import jars, kafka, postgres, processes, settings, state, training
from handbook.stack.faults import EmbeddedFaults
from handbook.stack.model import Kafka, Postgres, Stack
from handbook.stack.processes import Caller, PortTakenError, Say, quiet
from handbook.stack.status import Server, broker_folders, folders, servers
from handbook.stack.trouble import readable_errors

FRESH_SPACE = 300 * 2**20  # bytes a first start needs, with room to work
TICK = 2.0  # seconds of silence before `up` says what it waits for


def home() -> Path:
    """The state folder of this checkout, as the kernel shows it to us as a working directory."""
    return paths.stack_home().resolve()


def up(*, brokers: int | None = None, say: Say = quiet) -> Stack:
    """Start what is not running; a second call finds it running.

    Args:
        brokers: 1 or 3; None keeps what the first start chose (1).
        say: is told of each step that takes time.

    Raises:
        UsageError: the stack was made with another number of brokers.
        StackError: it cannot be started; what this call began is stopped and undone.
    """
    place = home()
    with readable_errors(place), _entered(place, say):
        known = state.load(place)
        if known is not None and brokers not in (None, len(known.nodes)):
            raise UsageError(
                f"This checkout's stack was made with {len(known.nodes)} broker(s), not {brokers}.",
                f"`handbook wipe`, then `handbook up --brokers {brokers}` (deletes the data)",
            )
        if known is None or not _complete(place, known):
            known = _start(place, known, brokers or 1, say)
    return describe(known)


@contextlib.contextmanager
def _entered(place: Path, say: Say) -> Iterator[None]:
    _check_owner(place)
    if not place.exists():
        place.mkdir(parents=True)
        place.chmod(0o755)  # `nobody` passes through, whatever the umask; what is secret is 0600
    with state.locked(place / "lock", say):
        yield


def _check_owner(place: Path) -> None:
    """A stack belongs to the user who made it: another would leave files that neither can use."""
    with contextlib.suppress(FileNotFoundError):
        owner = (place / state.NAME).stat().st_uid
        if owner != os.geteuid():
            name = _user(owner)
            raise StackError(
                f"The stack in {place} belongs to the user {name}.",
                f"run this as {name}, or set HANDBOOK_STACK_HOME to a folder of your own",
            )


def _user(uid: int) -> str:
    try:
        return f"`{pwd.getpwuid(uid).pw_name}`"
    except KeyError:
        return str(uid)


def _complete(place: Path, known: state.State) -> bool:
    """True when a second `up` has nothing to do; a look of milliseconds."""
    return not _missing(place, known) and kafka.whole(known.nodes)


def _missing(place: Path, known: state.State) -> list[str]:
    return [server.name for server in servers(place, known) if not server.running]


def _start(place: Path, known: state.State | None, brokers: int, say: Say) -> state.State:
    if known is None:
        _require_space(place)
        jars.fetch(say)
        known = _choose(place, brokers)
    else:
        _require_free_ports(place, known)
        jars.fetch(say)
    try:
        _start_servers(place, known, say)
    except StackError:
        if not (bad := jars.discard_corrupt()):
            raise
        say(f"{len(bad)} of Kafka's jars were damaged in the cache: fetching them again")
        jars.fetch(say)
        _start_servers(place, known, say)
    training.start()
    return known


def _choose(place: Path, brokers: int) -> state.State:
    """Ports and passwords of a new stack, right before they are used."""
    try:
        known = state.create(place, brokers=brokers)
        _require_free_ports(place, known)
    except PortTakenError:  # somebody was quicker, and nothing depends on these ports yet
        known = state.create(place, brokers=brokers)
        _require_free_ports(place, known)
    return known


def _require_space(place: Path) -> None:
    free = shutil.disk_usage(place).free
    if free < FRESH_SPACE:
        raise StackError(
            f"The disk of {place} has {free // 2**20} MiB left; the first start needs"
            f" {FRESH_SPACE // 2**20}.",
            "free some space, or set HANDBOOK_STACK_HOME to a folder on another disk",
        )


def _require_free_ports(place: Path, known: state.State) -> None:
    """Before anything starts, so that a busy port leaves nothing half made."""
    if postgres.process(place) is None and not processes.live(postgres.data_folder(place)):
        processes.require_free_port(known.postgres_port, "PostgreSQL")
    for node in known.nodes:
        if not processes.live(kafka.folder(place, node)):
            processes.require_free_port(node.port, f"Kafka broker {node.id}")
            processes.require_free_port(node.controller_port, f"Kafka controller {node.id}")


def _start_servers(place: Path, known: state.State, say: Say) -> None:
    """Both at once: the slower one is the price. What fails takes with it what this call began."""
    caller = Caller(say)
    before = {process.pid for process in processes.live(*folders(place))}
    pool = ThreadPoolExecutor(1 + len(known.nodes))
    try:
        first: Future[object] = pool.submit(postgres.up, place, known, caller=caller)
        jobs = {first: "PostgreSQL"}
        for node in known.nodes:
            job: Future[object] = pool.submit(
                kafka.up, place, known.nodes, node, peers=known.nodes, caller=caller
            )
            jobs[job] = f"Kafka broker {node.id}"
        say(f"starting {', '.join(_missing(place, known)) or 'nothing: waiting for the brokers'}")
        _wait_for(jobs, say)
    except BaseException:  # Ctrl-C too
        say("not started: stopping what was begun")
        caller.cancelled.set()
        pool.shutdown(cancel_futures=True)
        _undo(place, before)
        raise
    pool.shutdown()


def _wait_for(jobs: dict[Future[object], str], say: Say) -> None:
    began = time.monotonic()
    waiting = set(jobs)
    while waiting:
        done, waiting = wait(waiting, timeout=TICK, return_when=FIRST_EXCEPTION)
        for job in done:
            job.result()
        if waiting:
            names = ", ".join(sorted(jobs[job] for job in waiting))
            say(f"still starting {names} ({time.monotonic() - began:.0f} s)")


def _undo(place: Path, before: set[int]) -> None:
    """Stop the servers this call began and delete what it left half made."""
    begun = [p for p in processes.live(*folders(place)) if p.pid not in before]
    processes.send(begun, signal.SIGKILL)
    for process in begun:
        with contextlib.suppress(psutil.Error):
            process.wait(5)
    postgres.discard_half_made(place)
    for folder in broker_folders(place):
        kafka.discard_half_made(folder)


def describe(known: state.State) -> Stack:
    """The `Stack` value of a state."""
    return Stack(
        kind="embedded",
        postgres=Postgres(
            "127.0.0.1",
            known.postgres_port,
            settings.TOOLING,
            known.tooling_password,
            options=postgres.CLIENT,
        ),
        kafka=Kafka(",".join(f"127.0.0.1:{node.port}" for node in known.nodes)),
        brokers=len(known.nodes),
        faults=EmbeddedFaults(home()),
    )


def down(*, say: Say = quiet) -> bool:
    """Stop both servers cleanly; what does not end in time is killed. True when any ran."""
    place = home()
    if not place.exists():
        return False
    with readable_errors(place), _entered(place, say):
        return _stop_all(place)


def _stop_all(place: Path) -> bool:
    pg, brokers = postgres.data_folder(place), broker_folders(place)
    found = processes.live(pg, *brokers)
    processes.send(found, signal.SIGCONT)  # a paused server hears nothing
    if (postmaster := postgres.process(place)) is not None:
        processes.send([postmaster], signal.SIGINT)  # the postmaster alone: fast shutdown
    # The last of three brokers waits for a quorum that is gone: do not wait with it.
    limit = 10 if len(brokers) == 1 else 4
    if not processes.stop(brokers, signal.SIGTERM, limit):
        processes.stop(brokers, signal.SIGKILL, 5)
    if postmaster is None or not processes.stop([pg], None, 10):
        processes.stop([pg], signal.SIGKILL, 5)
    return bool(found)


def wipe(*, say: Say = quiet) -> bool:
    """Stop and delete everything the stack of this checkout holds. True when there was any."""
    place = home()
    if not place.exists():
        return False
    with readable_errors(place), _entered(place, say):
        processes.stop(folders(place), signal.SIGKILL, 5)
        shutil.rmtree(place)  # the lock file with it: a waiting `up` notices and locks a new one
    return True


def status() -> list[Server]:
    """The servers of this checkout; empty before the first `up`."""
    place = home()
    with readable_errors(place):
        known = state.load(place)
        return servers(place, known, full=True) if known else []
