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
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from ...errors import AuditCorrupt, AuditUnavailable, ConfigError
from ...kit.durable_files import open_file, sync_folder
from .marks import Marks
from .meter import StorageMeter


class LockedLog:
    """Opens its files at first use, so that every forked process has locks of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()  # two names of one file must share one lock
        self.lock_path = self.path.with_name(self.path.name + ".lock")
        self.sync_path = self.path.with_name(self.path.name + ".sync")
        self.fd = self._lock_fd = self._sync_fd = -1
        self._opened: dict[Path, os.stat_result] = {}  # device and inode of the open files, which never change
        self._has_write_lock = False
        self.marks = Marks(-1)
        self.meter: StorageMeter | None = None
        self.was_sync_unfinished = False
        """When `both_locks` were taken, a sync had begun and never ended: its pages may be lost."""

    @property
    def size(self) -> int:
        return os.fstat(self.fd).st_size

    # --- locks: they block, and raise AuditUnavailable for any OSError inside --------------------

    def write_lock(self) -> AbstractContextManager[bool]:
        """The holder adds lines after the last written one."""
        return self._locked(sync=False, write=True)

    def sync_lock(self) -> AbstractContextManager[bool]:
        """The holder syncs for all who have written; meanwhile others write."""
        return self._locked(sync=True, write=False)

    def both_locks_if_free(self) -> AbstractContextManager[bool]:
        """Whether both were taken: not while another process syncs. For `let_others_write`."""
        return self._locked(sync=True, write=True, waits=False)

    def let_others_write(self) -> None:
        """Give up the write lock of both already. Where that fails, others wait for the end."""
        with suppress(OSError):
            fcntl.flock(self._lock_fd, fcntl.LOCK_UN)
            self._has_write_lock = False

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
        self._has_write_lock = True
        try:
            yield
        finally:
            self._end_writing()

    @contextmanager
    def _locked(self, *, sync: bool, write: bool, waits: bool = True) -> Iterator[bool]:
        """Raises AuditCorrupt where other files are at the paths than those that are open.

        False, with nothing taken, if the sync lock is not free and *waits* is false.
        """
        try:
            if self.fd < 0:
                self._open()
            if sync:
                fcntl.flock(self._sync_fd, fcntl.LOCK_EX if waits else fcntl.LOCK_EX | fcntl.LOCK_NB)
            if write:
                fcntl.flock(self._lock_fd, fcntl.LOCK_EX)
                self._has_write_lock = True
        except BlockingIOError:  # only where we do not wait
            yield False
            return
        except OSError as error:
            self.close()  # this also releases the locks
            raise AuditUnavailable(f"The audit log cannot be opened: {error.strerror}.") from error
        try:
            if not self._are_in_place(sync=sync, write=write):
                self.close()  # the next call opens what is there then
                raise AuditCorrupt(f"The audit log {self.path} or its lock was moved or replaced while it was in use.")
            yield True
        except OSError as error:
            raise AuditUnavailable(f"The audit log cannot be written: {error.strerror}.") from error
        finally:
            self._end_writing()
            if sync:
                self._unlock(self._sync_fd)

    def _end_writing(self) -> None:
        if self._has_write_lock:
            self._has_write_lock = False
            self._unlock(self._lock_fd)

    def _unlock(self, fd: int) -> None:
        if fd < 0:
            return
        try:
            fcntl.flock(fd, fcntl.LOCK_UN)
        except OSError:
            self.close()  # a closed descriptor holds no lock

    def sync(self) -> None:
        """What is written becomes durable. Raises OSError."""
        if self.meter is None:
            os.fdatasync(self.fd)
            return
        began = time.monotonic()
        os.fdatasync(self.fd)
        self.meter.sync(time.monotonic() - began)

    # --- files -----------------------------------------------------------------------------------

    def is_in_place(self) -> bool:
        """Whether the three open files are still those at their paths."""
        return self._are_in_place(sync=True, write=True)

    def _are_in_place(self, *, sync: bool, write: bool) -> bool:
        return (
            self._is_open(self.path)
            and (not write or self._is_open(self.lock_path))
            and (not sync or self._is_open(self.sync_path))
        )

    def _is_open(self, path: Path) -> bool:
        """Whether the file at *path* now is the one that is open."""
        try:
            return path in self._opened and os.path.samestat(self._opened[path], os.stat(path))
        except FileNotFoundError:
            return False

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
        self._opened = {path: os.fstat(fd) for path, fd in zip((self.lock_path, self.sync_path, self.path), fds, strict=True)}
        self.marks = Marks(self._lock_fd)

    def reopen(self) -> None:
        """Open the file that is at the path now. A process that waits for the old one notices."""
        old_fd, self.fd = self.fd, open_file(self.path)
        self._opened[self.path] = os.fstat(self.fd)
        os.close(old_fd)

    def sync_lock_file(self) -> None:
        """Make the lock file durable once: after a power loss there is at least an old mark."""
        os.fsync(self._lock_fd)

    def close(self) -> None:
        fds = self.fd, self._lock_fd, self._sync_fd
        self.fd = self._lock_fd = self._sync_fd = -1
        self._opened = {}
        self.marks = Marks(-1)
        for fd in fds:
            if fd >= 0:
                os.close(fd)
