"""The folder in memory in which all processes that serve one log count, one at a time."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN, flock
from itertools import chain, repeat
from pathlib import Path

from ..errors import ConfigError

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own in it: folder_of
LOCK = "limits-lock"
LOCK_TIMEOUT_SECONDS = 0.25
"""The lock is held for microseconds. A longer wait would block the event loop."""
FEW_ENTRIES, MANY_ENTRIES = 64, 4096
PAUSE_SECONDS = 0.00005


def path_of(log: Path) -> Path:
    """Where the folder is, if there is one. Raises ConfigError if there is no place for it."""
    try:
        base = MEMORY if os.access(MEMORY, os.W_OK) else Path(tempfile.gettempdir())
    except FileNotFoundError:
        raise ConfigError(f"The limiter needs a folder that this user can write: {MEMORY}, or else TMPDIR.") from None
    digest = hashlib.sha256(os.fsencode(log.absolute())).hexdigest()[:16]
    return base / f"secure-ai-assistant-{os.getuid()}-{digest}"


def folder_of(log: Path) -> Path:
    """Makes it. Raises ConfigError if there is no place for it, or others can enter it."""
    folder = path_of(log)
    try:
        os.close(_enter(folder))
    except OSError as error:
        raise ConfigError(f"The limiter's folder {folder} cannot be used: {error.strerror}.") from error
    return folder


class SharedFolder:
    """In a `with` of it no other process counts. Not for several threads. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._presence = self.fd = -1  # opened at first use: a forked process has a lock of its own

    def __enter__(self) -> Path:
        """Raises TimeoutError if another process holds the lock for too long."""
        self.stay()
        if self.fd < 0:
            self.fd = open_shared(self.path / LOCK)
        deadline = 0.0
        while True:
            try:
                flock(self.fd, LOCK_EX | LOCK_NB)
                return self.path
            except BlockingIOError:
                deadline = deadline or time.monotonic() + LOCK_TIMEOUT_SECONDS
            if time.monotonic() > deadline:
                raise TimeoutError(errno.ETIMEDOUT, "another process holds the lock of the limiter's folder")
            time.sleep(PAUSE_SECONDS)

    def stay(self) -> None:
        """Use it from now on, until `close`. Raises OSError."""
        if self._presence < 0:
            self._presence = _enter(self.path)

    def __exit__(self, *_: object) -> None:
        flock(self.fd, LOCK_UN)

    def close(self) -> None:
        """The last process to close it removes it with its files."""
        with suppress(OSError):  # others count here, or a foreign file is in it
            self._presence = _enter(self.path) if self._presence < 0 else self._presence
            flock(self._presence, LOCK_EX | LOCK_NB)
            for file in self.path.glob("limits*"):  # of every version
                file.unlink(missing_ok=True)
            self.path.rmdir()
        for fd in {self._presence, self.fd} - {-1}:
            os.close(fd)
        self._presence = self.fd = -1


def open_shared(file: Path) -> int:
    return os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def entries_from(fd: int, at: int, size: int) -> Iterator[bytes]:
    """What stands in the file from *at* on, in pieces of whole entries of *size* bytes.

    The first piece is small: a buffer for a large one would be mapped for each question.
    """
    for most in chain((FEW_ENTRIES * size,), repeat(MANY_ENTRIES * size)):
        data = os.pread(fd, most, at)
        if whole := len(data) // size * size:
            yield data[:whole]
        if whole < most:
            return
        at += whole


def write_whole(fd: int, data: bytes, at: int) -> None:
    """All or nothing. Raises OSError."""
    if os.pwrite(fd, data, at) < len(data):
        os.ftruncate(fd, at)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _enter(folder: Path) -> int:
    """A descriptor with a shared lock on *folder*, which shows that this process counts in it.

    Makes it, also if the last process to leave it has removed it meanwhile.
    """
    while True:
        folder.mkdir(mode=0o700, exist_ok=True)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            flock(fd, LOCK_SH)
            status = os.fstat(fd)
            if status.st_uid != os.getuid() or status.st_mode & 0o077:
                raise PermissionError(errno.EPERM, "it is open to other users; remove it, or find out who made it")
            with suppress(FileNotFoundError):
                if os.path.samestat(status, folder.stat()):
                    return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
