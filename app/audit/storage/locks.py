"""The log and its two lock files: opened, locked in order, still the files at their paths.

| lock file | held while |
| --- | --- |
| `audit_log.jsonl.lock` | a writer adds lines |
| `audit_log.jsonl.sync` | a writer syncs for all who have written |

A writer that needs both takes the sync lock first. The lock files are never renamed. flock(2)
excludes other processes, and threads with other descriptors. The log itself is never locked: a
process that may only read it must not be able to stop the writers.
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
        self.sync_path = self.path.with_name(self.path.name + ".sync")
        self.fd = self._lock_fd = self._sync_fd = -1
        self.marks = Marks(-1)
        self.was_sync_unfinished = False
        """When `both_locks` were taken, a sync had begun and never ended: its pages may be lost."""

    @property
    def size(self) -> int:
        return os.fstat(self.fd).st_size

    # --- locks: they block, and raise AuditUnavailable for any OSError inside --------------------

    def write_lock(self) -> AbstractContextManager[None]:
        """The holder adds lines after the last written one."""
        return self._locked(sync=False, write=True)

    def sync_lock(self) -> AbstractContextManager[None]:
        """The holder syncs for all who have written; meanwhile others write."""
        return self._locked(sync=True, write=False)

    @contextmanager
    def both_locks(self) -> Iterator[None]:
        """Nobody else writes or syncs.

        Marks a sync as unfinished; the holder sets the marks. Where an error prevents that, the
        mark makes the next writer examine the end of the log.
        """
        with self._locked(sync=True, write=True):
            self.was_sync_unfinished = self.marks.read().is_sync_unfinished
            self.marks.begin_sync()
            yield

    @contextmanager
    def write_lock_too(self) -> Iterator[None]:
        """The write lock, for a holder of the sync lock."""
        fcntl.flock(self._lock_fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            self._unlock(self._lock_fd)

    @contextmanager
    def _locked(self, *, sync: bool, write: bool) -> Iterator[None]:
        """Raises AuditCorrupt where other files are at the paths than those that are open."""
        try:
            if self.fd < 0:
                self._open()
            if sync:
                fcntl.flock(self._sync_fd, fcntl.LOCK_EX)
            if write:
                fcntl.flock(self._lock_fd, fcntl.LOCK_EX)
        except OSError as error:
            self.close()  # this also releases the locks
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

    def is_in_place(self) -> bool:
        """Whether the three open files are still those at their paths."""
        return self._are_in_place(sync=True, write=True)

    def _are_in_place(self, *, sync: bool, write: bool) -> bool:
        return (
            is_same_file(self.fd, str(self.path))
            and (not write or is_same_file(self._lock_fd, str(self.lock_path)))
            and (not sync or is_same_file(self._sync_fd, str(self.sync_path)))
        )

    def make(self) -> None:
        """Create the files that are missing. Raises ConfigError."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            for path in (self.lock_path, self.sync_path, self.path):
                os.close(open_file(path, create=True))
            sync_folder(self.path.parent)
        except OSError as error:
            raise ConfigError(f"AUDIT_LOG_PATH {self.path} cannot be created: {error.strerror}.") from error

    def _open(self) -> None:
        is_there = self.path.exists()  # a restored backup has no lock files: they are made again
        fds: list[int] = []
        try:
            fds.append(open_file(self.lock_path, create=is_there))
            fds.append(open_file(self.sync_path, create=is_there))
            fds.append(open_file(self.path))
        except OSError:
            for fd in fds:
                os.close(fd)
            raise
        self._lock_fd, self._sync_fd, self.fd = fds
        self.marks = Marks(self._lock_fd)

    def reopen(self) -> None:
        """Open the file that is at the path now. A process that waits for the old one notices."""
        old_fd, self.fd = self.fd, open_file(self.path)
        os.close(old_fd)

    def sync_lock_file(self) -> None:
        """Make the lock file durable once: after a power loss there is at least an old mark."""
        os.fsync(self._lock_fd)

    def close(self) -> None:
        fds = self.fd, self._lock_fd, self._sync_fd
        self.fd = self._lock_fd = self._sync_fd = -1
        self.marks = Marks(-1)
        for fd in fds:
            if fd >= 0:
                os.close(fd)
