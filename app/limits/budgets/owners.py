"""Which processes still live: each holds a lock on a byte of its own, which ends with the process.

The file stands beside the store. Byte 0 is held while the store is attached, by one at a time. The
locks belong to the open file (fcntl(2), open file description locks).
"""

from __future__ import annotations

import fcntl
import os
import secrets
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .store import NO_OWNER, StoreFailed

PAUSE_SECONDS = 0.02
FIRST, LAST = 1, 1 << 60


class Owners:
    """Of one process. Opened after the fork: a child would hold its parent's lock."""

    def __init__(self, store: Path) -> None:
        self._path = store.with_name(f"{store.name}.owners")
        self._fd = -1
        self.own = NO_OWNER
        """The number of this process, once it has one."""

    @contextmanager
    def attaching(self, timeout_seconds: float) -> Iterator[bool]:
        """As `holding_off`. Whether no other process has the store in use; from then on this one
        has."""
        with self.holding_off(timeout_seconds):
            is_alone = self._is_alone()
            if self.own == NO_OWNER:
                own = FIRST + secrets.randbelow(LAST - FIRST)
                self._lock(fcntl.F_WRLCK, own, 1)
                self.own = own
            yield is_alone

    @contextmanager
    def holding_off(self, timeout_seconds: float) -> Iterator[None]:
        """No process attaches the store meanwhile. Raises StoreFailed."""
        try:
            if self._fd < 0:
                self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            self._lock_first(timeout_seconds)
        except OSError as error:
            raise StoreFailed(f"{self._path} cannot be locked: {error}") from error
        try:
            yield
        finally:
            self._lock(fcntl.F_UNLCK, 0, 1)

    def is_alive(self, owner: int) -> bool:
        """Whether the process with this number lives. This one does."""
        if owner == NO_OWNER or self._fd < 0:
            return False
        if owner == self.own:
            return True
        return not self._try(owner, 1)

    def is_dead(self, owner: int) -> bool:
        return owner != NO_OWNER and not self.is_alive(owner)

    def has_dead(self) -> bool:
        """The process that follows a dead one looks when it attaches the store."""
        return False

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self.own = -1, NO_OWNER

    def _lock_first(self, timeout_seconds: float) -> None:
        deadline = time.monotonic() + timeout_seconds
        while True:
            try:
                self._lock(fcntl.F_WRLCK, 0, 1)
            except (BlockingIOError, PermissionError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(PAUSE_SECONDS)
            else:
                return

    def _is_alone(self) -> bool:
        """Whether all bytes but its own are free."""
        own = self.own
        if own == NO_OWNER:
            return self._try(FIRST, 0)
        return (own == FIRST or self._try(FIRST, own - FIRST)) and self._try(own + 1, 0)

    def _try(self, start: int, length: int) -> bool:
        """Whether these bytes are free. *length* 0: to the end."""
        try:
            self._lock(fcntl.F_WRLCK, start, length)
        except (BlockingIOError, PermissionError):
            return False
        self._lock(fcntl.F_UNLCK, start, length)
        return True

    def _lock(self, kind: int, start: int, length: int) -> None:
        """Raises BlockingIOError where another process holds one of these bytes."""
        fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", kind, os.SEEK_SET, start, length, 0))
