"""A storage for `limits` that all processes of one machine share, counted on a clock that nobody can set.

`limits`' own memory storage counts for each process alone, and on the wall clock: set back a day, it locks callers out
for a day. This one keeps the hits of a moving window in SQLite on a memory file system, dated by CLOCK_MONOTONIC, which
is the same for all processes since boot. It survives `kill -9` of any of them; the last one to close it removes it.
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

from limits.storage import MovingWindowSupport, Storage

from ..errors import ConfigError

SCHEME = "window"
SCHEMA = "CREATE TABLE IF NOT EXISTS hits (key TEXT, n INTEGER, at REAL, PRIMARY KEY (key, n)) WITHOUT ROWID"
LAST = "SELECT n, at FROM hits WHERE key = ? ORDER BY n DESC LIMIT 1"
FIRST = "SELECT n, at FROM hits WHERE key = ? ORDER BY n LIMIT 1"
ONE = "SELECT at FROM hits WHERE key = ? AND n = ?"
LONGEST_WINDOW_SECONDS = 60
PATIENCE_SECONDS = 0.25  # it is the event loop that waits; a hit takes 50 us
OPENING_SECONDS = 2.0
FRESH_SECONDS = 0.01


def shared_window_url(name: Path) -> str:
    """The storage URL of all processes that serve *name*. Raises ConfigError if somebody else owns its folder."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own in it, checked below
    base = memory if os.access(memory, os.W_OK) else Path(tempfile.gettempdir())
    digest = hashlib.sha256(os.fsencode(name.absolute())).hexdigest()[:16]
    folder = base / f"secure-ai-assistant-{os.getuid()}-{digest}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise ConfigError(f"The limiter's folder {folder} cannot be made: {error.strerror}.") from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise ConfigError(f"The limiter's folder {folder} is not ours alone. Remove it, or find out who made it.")
    return f"{SCHEME}://{folder / 'limits.sqlite3'}"


class WindowStorage(MovingWindowSupport, Storage):
    """Hits are numbered for each key without gaps, so that one look at the hit `limit` places ago decides."""

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
        self._fresh: tuple[str, float, int, float] | None = None  # what acquire_entry has just seen, and when

    @property
    def base_exceptions(self) -> type[Exception]:
        return sqlite3.Error

    @property
    def _db(self) -> sqlite3.Connection:
        """Opened at first use, so that a forked process has a connection of its own."""
        if self._connection is None:
            if self._folder_fd is None and self._path != ":memory:":
                self._folder_fd = _hold(Path(self._path).parent)
            self._connection = _open(self._path)
        return self._connection

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Add *amount* hits if no more than *limit* then stand in the last *expiry* seconds; else add none."""
        if amount > limit:
            return False
        db = self._db
        self._fresh = None
        db.execute("BEGIN IMMEDIATE")
        try:
            now = self._clock()  # under the lock: whoever waited for it must not take the others' hits for hits of the future
            last: tuple[int, float] = db.execute(LAST, (key,)).fetchone() or (0, now)
            # The hit that must have left the window for the new ones to fit in.
            barrier = db.execute(ONE, (key, last[0] - limit + amount)).fetchone()
            allowed = barrier is None or not _is_live(barrier[0], now, expiry)
            if allowed:
                db.executemany("INSERT INTO hits VALUES (?, ?, ?)", [(key, last[0] + i, now) for i in range(1, amount + 1)])
                oldest = db.execute("SELECT n, at FROM hits WHERE key = ? ORDER BY n LIMIT 4", (key,)).fetchall()
                gone = [n for n, at in oldest if not _is_live(at, now, expiry)]
                if gone:
                    db.execute("DELETE FROM hits WHERE key = ? AND n <= ?", (key, gone[-1]))
                else:
                    self._fresh = (key, oldest[0][1], last[0] + amount - oldest[0][0] + 1, now)
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise
        return allowed

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """When the oldest hit of the last *expiry* seconds was (on this storage's clock), and how many there are."""
        fresh, self._fresh = self._fresh, None
        if fresh is not None and fresh[0] == key and 0 <= self._clock() - fresh[3] < FRESH_SECONDS:
            return fresh[1], fresh[2]  # asked right after the hit: no need to look again
        db = self._db
        last = db.execute(LAST, (key,)).fetchone()
        if last is None:  # nearly always, for an address
            return self._clock(), 0
        db.execute("BEGIN")
        try:
            first, last = db.execute(FIRST, (key,)).fetchone(), db.execute(LAST, (key,)).fetchone()
            return self._live_hits(key, first, last, self._clock(), expiry)  # later than any hit of this snapshot
        finally:
            db.execute("ROLLBACK")

    def _live_hits(
        self, key: str, first: tuple[int, float] | None, last: tuple[int, float] | None, now: float, expiry: int
    ) -> tuple[float, int]:
        if first is None or last is None or not _is_live(last[1], now, expiry):
            return now, 0
        low, high, started = first[0], last[0], last[1]
        if _is_live(first[1], now, expiry):
            high, started = low, first[1]
        while low < high:  # the first live hit: times do not decrease with n
            middle = (low + high) // 2
            row = self._db.execute(ONE, (key, middle)).fetchone()
            if row is not None and _is_live(row[0], now, expiry):
                high, started = middle, row[0]
            else:
                low = middle + 1
        return started, last[0] - low + 1

    def forget_old(self) -> None:
        """Drop what no window can reach any more. Called now and then, off the road of a question."""
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            now = self._clock()
            db.execute("DELETE FROM hits WHERE at <= ? OR at > ?", (now - LONGEST_WINDOW_SECONDS, now))
        finally:
            db.execute("COMMIT")

    def clear(self, key: str) -> None:
        self._db.execute("DELETE FROM hits WHERE key = ?", (key,))

    def reset(self) -> int:
        return self._db.execute("DELETE FROM hits").rowcount

    def check(self) -> bool:
        return bool(self._db.execute("SELECT 1").fetchone())

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._path != ":memory:":
            with suppress(OSError, sqlite3.Error):  # others still count here, or something else stands in the folder
                self._folder_fd = _hold(Path(self._path).parent) if self._folder_fd is None else self._folder_fd
                fcntl.flock(self._folder_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for suffix in ("-wal", "-shm", ""):
                    Path(self._path + suffix).unlink(missing_ok=True)
                Path(self._path).parent.rmdir()
        if self._folder_fd is not None:
            os.close(self._folder_fd)
            self._folder_fd = None

    # The other strategies of `limits` count in fixed windows; only the moving window is used here.

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        raise TypeError("this storage keeps moving windows only")

    def get(self, key: str) -> int:
        raise TypeError("this storage keeps moving windows only")

    def get_expiry(self, key: str) -> float:
        raise TypeError("this storage keeps moving windows only")


def _hold(folder: Path) -> int:
    """A shared lock on *folder*, which is made anew if the last one who held it has removed it. Raises sqlite3.Error."""
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
                        raise PermissionError(1, "it is not ours alone")
                    return fd
            os.close(fd)
    except OSError as error:
        raise sqlite3.OperationalError(f"the limiter's folder cannot be used: {error.strerror}") from error


def _open(path: str) -> sqlite3.Connection:
    """Raises sqlite3.OperationalError when others hold the file for too long."""
    connection = sqlite3.connect(path, timeout=PATIENCE_SECONDS, isolation_level=None, check_same_thread=False)
    deadline = time.monotonic() + OPENING_SECONDS
    while True:
        try:
            connection.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; {SCHEMA}")
            return connection
        except sqlite3.OperationalError:  # the switch to WAL fails at once, whatever the timeout, while others open the file
            if time.monotonic() > deadline:
                connection.close()
                raise
            time.sleep(0.005)


def _is_live(at: float, now: float, expiry: int) -> bool:
    """A hit from the future is from before a reboot: the clock began anew."""
    return now - expiry < at <= now
