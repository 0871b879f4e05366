"""Debian's PgBouncer in transaction mode, in front of a PostgreSQL of the tests."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from .optional import leave_out
from .postgres_server import PASSWORD, SUPERUSER, PostgresServer, unprivileged_user
from .service import free_port
from .waiting import eventually

SETTINGS = """[databases]
* = host=127.0.0.1 port={server_port} user={user} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
auth_type = any
pool_mode = {mode}
ignore_startup_parameters = {ignored}
unix_socket_dir =
logfile = {folder}/log
pidfile = {folder}/pid
"""


@contextmanager
def pgbouncer(server: PostgresServer, mode: str = "transaction", ignored: str = "") -> Iterator[str]:
    """The URL of its database `postgres`. Skips the test where there is no PgBouncer."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        leave_out("there is no pgbouncer (Debian: apt-get install pgbouncer)")
    user, port, folder = unprivileged_user(), free_port(), Path(tempfile.mkdtemp(prefix="pgbouncer-"))
    settings = folder / "pgbouncer.ini"
    values = {
        "server_port": server.port,
        "user": SUPERUSER,
        "password": PASSWORD,
        "port": port,
        "mode": mode,
        "ignored": ignored,
        "folder": folder,
    }
    settings.write_text(SETTINGS.format(**values))
    command = [program, "-q", str(settings)]
    if user is not None:
        shutil.chown(folder, user.pw_uid, user.pw_gid)
        shutil.chown(settings, user.pw_uid, user.pw_gid)
        process = subprocess.Popen(command, user=user.pw_uid, group=user.pw_gid, extra_groups=[])
    else:
        process = subprocess.Popen(command)
    try:
        eventually(lambda: _listens(port), "PgBouncer did not start")
        yield f"postgresql://anyone@127.0.0.1:{port}/postgres"
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder)


def _listens(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
