"""Whether a service has the log in use: each of its processes holds a shared lock."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...kit.durable_files import is_same_file, open_to_read

LOG = logging.getLogger("app.audit")


def _lock_file(log: Path) -> Path:
    log = log.resolve()  # two names of one log must share one lock
    return log.with_name(log.name + ".running")


class RunningMark:
    """The shared lock of one process. It ends with the process."""

    def __init__(self, log: Path) -> None:
        self._path = _lock_file(log)
        self._fd = -1

    def take(self) -> bool:
        """Lock the file, which is made if it is missing. False, and a warning, where that fails."""
        try:
            fd = open_to_read(self._path, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW)
            try:
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                os.close(fd)
                raise
        except OSError as error:
            LOG.warning("%s cannot be locked: %s.", self._path, error.strerror)
            return False
        self.release()
        self._fd = fd
        return True

    def renew(self) -> bool:
        """Take the mark again if its file was removed or replaced; whether it was."""
        return self._fd >= 0 and not is_same_file(self._fd, str(self._path)) and self.take()

    def release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1


@contextmanager
def marked_running(log: Path) -> Iterator[RunningMark]:
    """`is_running` is true until the end of the block, or of the process.

    Where the lock file cannot be made, as on a full disk, the service goes on without it: then
    nothing but the operator keeps `init --new-log` from replacing a log in use.
    """
    mark = RunningMark(log)
    mark.take()
    try:
        yield mark
    finally:
        mark.release()


def is_running(log: Path) -> bool:
    """Whether a process on this file system serves *log* now. Raises OSError."""
    try:
        fd = open_to_read(_lock_file(log), os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(fd)
