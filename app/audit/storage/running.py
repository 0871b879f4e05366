"""Whether a service has the log in use: each of its processes holds a shared lock."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOG = logging.getLogger("app.audit")


def _lock_file(log: Path) -> Path:
    log = log.resolve()  # two names of one log must share one lock
    return log.with_name(log.name + ".running")


@contextmanager
def marked_running(log: Path) -> Iterator[None]:
    """`is_running` is true until the end of the block, or of the process.

    Where the lock file cannot be made, as on a full disk, the service goes on without it: then
    nothing but the operator keeps `init --new-log` from replacing a log in use.
    """
    fd = -1
    try:
        fd = os.open(_lock_file(log), os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        LOG.warning("%s cannot be locked: %s.", _lock_file(log), error.strerror)
    try:
        yield
    finally:
        if fd >= 0:
            os.close(fd)


def is_running(log: Path) -> bool:
    """Whether a process on this file system serves *log* now. Raises OSError."""
    try:
        fd = os.open(_lock_file(log), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
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
