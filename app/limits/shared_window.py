"""A storage for `limits` that all processes of one machine share, on a clock that cannot be set.

The memory storage of `limits` counts for each process alone, and on the wall clock: a clock that is
set back a day locks callers out for a day. This one keeps the hits of moving windows in SQLite on a
memory file system, dated by CLOCK_MONOTONIC, which all processes share. It survives `kill -9` of
any process; the last one to close it removes it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import sqlite3
import stat
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from limits.storage import MovingWindowSupport, Storage

from ..errors import ConfigError

SCHEME = "window"
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own in it: shared_window_url
SCHEMA = """
CREATE TABLE IF NOT EXISTS hits (key TEXT, at REAL, n INTEGER, PRIMARY KEY (key, at, n)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS levels (key TEXT PRIMARY KEY, at REAL, level REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batches (number INTEGER PRIMARY KEY, id TEXT, owner INTEGER, kinds INTEGER);
CREATE TABLE IF NOT EXISTS counts (
    batch INTEGER, user_id TEXT, network TEXT, code TEXT, n INTEGER, PRIMARY KEY (batch, code, network, user_id)
) WITHOUT ROWID
"""
"""The last two belong to shared_counts.py."""
ENDS = """
SELECT * FROM (SELECT at, n FROM hits WHERE key = :key AND at > :start AND at <= :now ORDER BY at, n LIMIT 1) UNION ALL
SELECT * FROM (SELECT at, n FROM hits WHERE key = :key AND at > :start AND at <= :now ORDER BY at DESC, n DESC LIMIT 1)
"""
"""The oldest and the newest hit of a window. A hit in the future is from before a reboot."""
DELETE_OLDEST = """
DELETE FROM hits WHERE key = :key AND at <= (
    SELECT max(at) FROM (SELECT at FROM hits WHERE key = :key AND at <= :start ORDER BY at, n LIMIT 4)
)
"""
GIVE_BACK = "DELETE FROM hits WHERE (key, at, n) = (SELECT key, at, n FROM hits WHERE key = ? ORDER BY at DESC, n DESC LIMIT 1)"
LONGEST_WINDOW_SECONDS = 60
LOCK_TIMEOUT_SECONDS = 0.25
"""A hit takes 20 us. A longer wait would block the event loop, and with it every caller."""
OPEN_TIMEOUT_SECONDS = 2.0
OPEN_RETRY_SECONDS = 0.005


def shared_window_url(log: Path) -> str:
    """The storage URL of all processes that serve *log*.

    Raises ConfigError if there is no place for its folder, or another user owns it.
    """
    try:
        base = MEMORY if os.access(MEMORY, os.W_OK) else Path(tempfile.gettempdir())
    except FileNotFoundError:
        raise ConfigError(f"The limiter needs a folder that this user can write: {MEMORY}, or else TMPDIR.") from None
    digest = hashlib.sha256(os.fsencode(log.absolute())).hexdigest()[:16]
    folder = base / f"secure-ai-assistant-{os.getuid()}-{digest}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise ConfigError(f"The limiter's folder {folder} cannot be made: {error.strerror}.") from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise ConfigError(f"The limiter's folder {folder} is open to other users. Remove it, or find out who made it.")
    return f"{SCHEME}://{folder / 'limits.sqlite3'}"


class WindowStorage(MovingWindowSupport, Storage):
    """Numbers the hits in a window without gaps: its oldest and newest tell how many there are."""

    STORAGE_SCHEME = [SCHEME]  # noqa: RUF012 - limits declares it so

    def __init__(
        self,
        uri: str,
        wrap_exceptions: bool = False,
        clock: Callable[[], float] = time.monotonic,
        **_: float | str | bool,
    ) -> None:
        super().__init__(uri, wrap_exceptions=wrap_exceptions)
        self._path = uri.removeprefix(f"{SCHEME}://")
        self._clock = clock
        self._connection: sqlite3.Connection | None = None
        self._folder_fd: int | None = None

    @property
    def base_exceptions(self) -> type[Exception]:
        return sqlite3.Error

    @property
    def _db(self) -> sqlite3.Connection:
        """Opened at first use, so that a forked process has a connection of its own."""
        if self._connection is None:
            if self._folder_fd is None and self._path != ":memory:":
                self._folder_fd = _lock_folder(Path(self._path).parent)
            self._connection = _connect(self._path)
        return self._connection

    def writing(self) -> sqlite3.Connection:
        """Begins a transaction, alone over all processes; `with` ends it."""
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        return db

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Add *amount* hits if at most *limit* are then in the last *expiry* seconds, else none."""
        with self.writing() as db:
            # Read under the lock: before it, hits of other processes could be later than this.
            now = self._clock()
            _, count, newest = self._window(key, expiry, now)
            is_allowed = count + amount <= limit
            if is_allowed:
                hits = [(key, now, newest + number) for number in range(1, amount + 1)]
                db.executemany("INSERT INTO hits (key, at, n) VALUES (?, ?, ?)", hits)
                db.execute(DELETE_OLDEST, {"key": key, "start": now - expiry})
        return is_allowed

    def give_back(self, key: str) -> None:
        """Take the newest hit away: the others are still numbered without gaps."""
        self._db.execute(GIVE_BACK, (key,))

    def take(self, key: str, capacity: int, per_second: float) -> float:
        """Take one from a bucket of *capacity* that is filled by *per_second*.

        0.0 if there was one, else the seconds until there is.
        """
        with self.writing() as db:
            now = self._clock()
            at, level = db.execute("SELECT at, level FROM levels WHERE key = ?", (key,)).fetchone() or (now, capacity)
            if at > now:  # from before a reboot
                at, level = now, capacity
            level = min(capacity, level + (now - at) * per_second)
            if level >= 1:
                db.execute("INSERT OR REPLACE INTO levels (key, at, level) VALUES (?, ?, ?)", (key, now, level - 1))
        return 0.0 if level >= 1 else (1 - level) / per_second

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """When the oldest hit of the last *expiry* seconds was, and how many there are."""
        return self._window(key, expiry, self._clock())[:2]

    def _window(self, key: str, expiry: int, now: float) -> tuple[float, int, int]:
        """When the oldest hit was, else *now*; how many; the number of the newest, else 0."""
        ends = self._db.execute(ENDS, {"key": key, "start": now - expiry, "now": now}).fetchall()
        if not ends:
            return now, 0, 0
        (at, oldest), (_, newest) = min(ends), max(ends)
        return at, newest - oldest + 1, newest

    def forget_old(self) -> None:
        """Delete every hit that no window reaches any more.

        Takes milliseconds: do not call it while a request waits.
        """
        with self.writing() as db:
            now = self._clock()
            db.execute("DELETE FROM hits WHERE at <= ? OR at > ?", (now - LONGEST_WINDOW_SECONDS, now))

    def clear(self, key: str) -> None:
        self._db.execute("DELETE FROM hits WHERE key = ?", (key,))

    def reset(self) -> int:
        return self._db.execute("DELETE FROM hits").rowcount

    def check(self) -> bool:
        return bool(self._db.execute("SELECT 1").fetchone())

    def probe(self) -> None:
        """Write a hit, and delete it. Raises sqlite3.Error where none can be written."""
        with self.writing() as db:
            db.execute("INSERT INTO hits (key, at, n) VALUES ('', ?, 0)", (self._clock(),))
            db.execute("DELETE FROM hits WHERE key = ''")

    @property
    def folder(self) -> Path:
        return Path(self._path).parent

    def close(self) -> None:
        """The last process to close it removes its files."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._path != ":memory:":
            with suppress(OSError, sqlite3.Error):  # other processes count here, or a foreign file is in the folder
                self._folder_fd = _lock_folder(Path(self._path).parent) if self._folder_fd is None else self._folder_fd
                fcntl.flock(self._folder_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for suffix in ("-wal", "-shm", ""):
                    Path(self._path + suffix).unlink(missing_ok=True)
                Path(self._path).parent.rmdir()
        if self._folder_fd is not None:
            os.close(self._folder_fd)
            self._folder_fd = None

    # `limits` asks every storage for fixed windows too. Only the moving window is used here.

    def _refuse_fixed_windows(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("this storage keeps moving windows only")

    incr = get = get_expiry = _refuse_fixed_windows


def _lock_folder(folder: Path) -> int:
    """A descriptor with a shared lock on *folder*, which shows that this process counts in it.

    Makes the folder again if the last process to close it has removed it meanwhile. Raises
    sqlite3.Error.
    """
    try:
        while True:
            folder.mkdir(mode=0o700, exist_ok=True)
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            fcntl.flock(fd, fcntl.LOCK_SH)
            with suppress(FileNotFoundError):
                status = os.fstat(fd)
                if os.path.samestat(status, folder.stat()):
                    if status.st_uid != os.getuid() or status.st_mode & 0o077:
                        os.close(fd)
                        raise PermissionError(1, "it is open to other users")
                    return fd
            os.close(fd)
    except OSError as error:
        raise sqlite3.OperationalError(f"the limiter's folder cannot be used: {error.strerror}") from error


def _connect(path: str) -> sqlite3.Connection:
    """Raises sqlite3.OperationalError if other processes hold the file for too long."""
    connection = sqlite3.connect(path, timeout=LOCK_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False)
    deadline = time.monotonic() + OPEN_TIMEOUT_SECONDS
    while True:
        try:
            connection.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; {SCHEMA}")
            return connection
        except sqlite3.OperationalError as error:
            # The switch to WAL ignores the timeout while another process opens the file.
            if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) or time.monotonic() > deadline:
                connection.close()
                raise
            time.sleep(OPEN_RETRY_SECONDS)
