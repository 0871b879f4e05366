"""Whether the log and its lock files are still what our writers left: a few system calls a look."""

from __future__ import annotations

import os
from pathlib import Path

from ...errors import AuditCorrupt, EvidenceUnavailable
from ...kit.durable_files import open_to_read
from ..format.record import LogEnd
from .locks import LockedLog
from .marks import Marks
from .recovery import end_of_records
from .store import Look
from .tail import LogTail

Identity = tuple[int, int]
"""Device and inode: another file at the same path has another."""


class FileWatch:
    """Remembers the files, and the durable end, from one look to the next."""

    def __init__(self, log: LockedLog, tail: LogTail) -> None:
        self._log, self._tail = log, tail
        self._paths = (log.lock_path, log.sync_path)
        self._files: tuple[Identity | None, ...] = ()
        self._locks: tuple[Identity | None, ...] = ()
        self._durable: LogEnd | None = None

    def accept(self) -> None:
        """The next look takes the files that are there then; the durable end stays known."""
        self._files = self._locks = ()
        self._log.close()

    def look(self) -> Look:
        """Raises AuditCorrupt for a log that is gone, replaced, shorter, or written by a stranger.

        Takes the write lock only on suspicion. Raises EvidenceUnavailable where it cannot look.
        """
        log = self._log
        try:
            durable, _ = self._read_marks()
            found = os.stat(log.path)
            _, reach = self._read_marks()  # after the log: what is written meanwhile is no stranger's
        except FileNotFoundError:
            raise AuditCorrupt(f"The audit log {log.path} is missing.") from None
        except OSError as error:
            raise EvidenceUnavailable(f"The audit log cannot be read: {error.strerror}.") from error
        self._verify_same(found)
        if durable is not None:
            self._verify_durable(durable, found.st_size)
        if reach is not None and found.st_size > reach:
            self._verify_own()
        stamp = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        return Look(stamp, found.st_ctime, self._are_locks_the_same() and durable is not None)

    def _verify_same(self, found: os.stat_result) -> None:
        files = ((found.st_dev, found.st_ino),)
        if self._files not in ((), files):
            raise AuditCorrupt(f"The audit log {self._log.path} was replaced while it was in use.")
        self._files = files

    def _verify_durable(self, durable: LogEnd, size: int) -> None:
        if self._durable is not None and durable.seq < self._durable.seq:
            raise AuditCorrupt(
                f"{self._log.lock_path} is older than the audit log: record {self._durable.seq} was durable before. Delete it."
            )
        self._durable = durable
        if size < durable.size:
            raise AuditCorrupt(f"The audit log {self._log.path} is shorter than it was: {size} bytes of {durable.size}.")

    def _verify_own(self) -> None:
        log = self._log
        with log.write_lock():
            written, reach, size = log.marks.written(), log.marks.reach(), log.size
            if written is not None and reach is not None and size > reach:
                self._tail.verify_own(end_of_records(log.fd, written, reach), size)

    def _are_locks_the_same(self) -> bool:
        locks = tuple(map(_identity, self._paths))
        are_same = None not in locks and self._locks in ((), locks)
        self._locks = () if None in locks else locks  # the next look takes the one that is restored
        return are_same

    def _read_marks(self) -> tuple[LogEnd | None, int | None]:
        """The durable end and the reach. None: unknown."""
        try:
            fd = open_to_read(self._log.lock_path)
        except FileNotFoundError:
            return None, None
        try:
            marks = Marks(fd)
            return marks.durable(), marks.reach()
        finally:
            os.close(fd)


def _identity(path: Path) -> Identity | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
