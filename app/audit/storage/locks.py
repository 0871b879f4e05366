"""The log and its two lock files, open and locked: the order of the locks, and that all are still the files at their paths.

Whoever writes holds the lock of `audit_log.jsonl.lock`, whoever syncs that of `audit_log.jsonl.sync`; neither file is ever
renamed. Who needs both takes the second first. flock(2) parts processes, and threads with descriptors of their own. The log
itself is never locked: who may read it must not be able to stop it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from ...errors import AuditCorrupt, AuditUnavailable, ConfigError
from ...kit.durable_files import is_same_file, open_file, sync_folder
from .marks import Marks


class LockedLog:
    """Opens its files at first use, so that every forked process has locks of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()  # two names of one file must share one lock
        self.lock_path = self.path.with_name(self.path.name + ".lock")
        self._sync_path = self.path.with_name(self.path.name + ".sync")
        self.fd = self._lock_fd = self._sync_fd = -1
        self.marks = Marks(-1)

    @property
    def size(self) -> int:
        return os.fstat(self.fd).st_size

    def is_in_place(self) -> bool:
        """Whether all are still the files at their paths."""
        return self._are_in_place(sync=True, write=True)

    def _are_in_place(self, *, sync: bool, write: bool) -> bool:
        return (
            is_same_file(self.fd, str(self.path))
            and (not write or is_same_file(self._lock_fd, str(self.lock_path)))
            and (not sync or is_same_file(self._sync_fd, str(self._sync_path)))
        )

    def to_write(self) -> AbstractContextManager[None]:
        """Whoever is here links his lines to the last written one."""
        return self._holding(sync=False, write=True)

    def to_sync(self) -> AbstractContextManager[None]:
        """Whoever is here syncs for all who have written; meanwhile others write."""
        return self._holding(sync=True, write=False)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else writes or syncs. Who leaves by an error leaves the mark of a sync under way: the next one looks."""
        with self._holding(sync=True, write=True):
            self.marks.begin_sync()
            yield

    @contextmanager
    def nobody_writes(self) -> Iterator[None]:
        """The write lock besides, for who is here to sync."""
        fcntl.flock(self._lock_fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            self._unlock(self._lock_fd)

    @contextmanager
    def _holding(self, *, sync: bool, write: bool) -> Iterator[None]:
        """Waits; callers have the deadline. Raises AuditUnavailable for any OSError, AuditCorrupt for other files."""
        try:
            if self.fd < 0:
                self._open()
            if sync:
                fcntl.flock(self._sync_fd, fcntl.LOCK_EX)
            if write:
                fcntl.flock(self._lock_fd, fcntl.LOCK_EX)
        except OSError as error:
            self.close()  # and with the descriptors the locks
            raise AuditUnavailable(f"The audit log cannot be opened: {error.strerror}.") from error
        try:
            if not self._are_in_place(sync=sync, write=write):
                self.close()  # the next call opens what is there then
                raise AuditCorrupt(f"The audit log {self.path} or its lock was moved or replaced while it was in use.")
            yield
        except OSError as error:
            raise AuditUnavailable(f"The audit log cannot be written: {error.strerror}.") from error
        finally:
            if write:
                self._unlock(self._lock_fd)
            if sync:
                self._unlock(self._sync_fd)

    def _unlock(self, fd: int) -> None:
        if fd < 0:
            return
        try:
            fcntl.flock(fd, fcntl.LOCK_UN)
        except OSError:
            self.close()  # a closed descriptor holds no lock

    # --- files -----------------------------------------------------------------------------------

    def make(self) -> None:
        """Make the files that are not there yet. Raises ConfigError."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            for path in (self.lock_path, self._sync_path, self.path):
                os.close(open_file(path, create=True))
            sync_folder(self.path.parent)
        except OSError as error:
            raise ConfigError(f"AUDIT_LOG_PATH {self.path} cannot be created: {error.strerror}.") from error

    def _open(self) -> None:
        is_there = self.path.exists()  # a restored backup has no lock files: the marks start anew
        fds: list[int] = []
        try:
            fds += (open_file(path, create=is_there) for path in (self.lock_path, self._sync_path))
            fds.append(open_file(self.path))
        except OSError:
            for fd in fds:
                os.close(fd)
            raise
        self._lock_fd, self._sync_fd, self.fd = fds
        self.marks = Marks(self._lock_fd)

    def replace(self) -> None:
        """Go over to the file that is at the path now. Who waits to sync the old one then finds another in its place."""
        old_fd, self.fd = self.fd, open_file(self.path)
        os.close(old_fd)

    def keep_lock_file(self) -> None:
        """Make the lock file's one block durable once, so that a loss of power leaves some mark in it, if an older one."""
        os.fsync(self._lock_fd)

    def close(self) -> None:
        fds = self.fd, self._lock_fd, self._sync_fd
        self.fd = self._lock_fd = self._sync_fd = -1
        self.marks = Marks(-1)
        for fd in fds:
            if fd >= 0:
                os.close(fd)
