"""The end of the log while nobody else writes: found, extended, repaired after a failed sync.

Bytes past the durable end were never acknowledged. So what a dead writer left there can be removed,
while a durable end that does not match the log means that the log was edited: AuditCorrupt.
"""

from __future__ import annotations

import os

from ...errors import AuditCorrupt, AuditUnavailable
from ...kit.durable_files import read_at, write_at
from ..format.record import EMPTY, LogEnd, line_ending
from .locks import LockedLog
from .recovery import (
    BLOCK,
    NEW_LOG,
    end_of_chain,
    end_of_last_line,
    end_of_lines,
    end_of_records,
    is_torn_record,
    make_durable,
    set_aside,
)
from .store import Batch, Build, Recovery


class LogTail:
    """Each method needs the write lock; those that sync or set marks need both locks."""

    def __init__(self, log: LockedLog) -> None:
        self._log = log
        self.unrecorded: list[Recovery] = []
        """Torn tails that were set aside and have no record yet."""

    # --- find the end ----------------------------------------------------------------------------

    def recover_end(self, *, is_start: bool = False) -> LogEnd:
        """The durable end of the log. A torn tail after it is copied to a file beside the log.

        The next `commit` cuts the tail off and records that. A process that dies before leaves the
        tail in place, to be found again. *is_start*: whatever follows is a torn tail, as after a
        loss of power. Otherwise raises AuditCorrupt for what no writer of ours can have left.
        """
        end, size = self.durable_end(is_start=is_start), self._log.size
        if end.size < size and not is_start:
            self.verify_own(end, size)
        self._log.marks.set_written(end)
        if end.size < size:
            self.unrecorded.append(set_aside(self._log.fd, end, size, self._log.path))
        return end

    def verify_own(self, end: LogEnd, size: int) -> None:
        """What follows the last record is the rest of an interrupted write (storage.md, Strangers).

        Raises AuditCorrupt for anything else.
        """
        reach = self._log.marks.reach()
        may_be_lost = self._log.was_sync_unfinished and reach is not None and size <= reach
        if may_be_lost or is_torn_record(self._log.fd, end, size):
            return
        raise AuditCorrupt(
            f"The audit log {self._log.path} was written by a stranger after record {end.seq}. Keep a copy as evidence, "
            f"and cut the log after byte {end.size}; {NEW_LOG}."
        )

    def durable_end(self, *, is_start: bool = False) -> LogEnd:
        """The end of the whole records, made durable: none that a stranger added to a log in use.

        Raises AuditCorrupt where the mark cannot be of this log.
        """
        fd, size, path = self._log.fd, self._log.size, self._log.path
        reach = None if is_start else self._log.marks.reach()
        end = self._log.marks.durable()
        if end is not None and end.size == size:
            return end
        if end is None:
            end = end_of_chain(fd, size, path)
        if size < end.size:
            raise AuditCorrupt(f"The audit log {path} is shorter than it was: {size} bytes of {end.size}. Restore it; {NEW_LOG}.")
        if end != EMPTY and end_of_last_line(fd, end.size, path) != end:  # never cut at the mark of another log
            raise AuditCorrupt(f"The audit log {path} is not the one that its lock file describes. Restore it; {NEW_LOG}.")
        return make_durable(fd, end, size if reach is None else min(size, reach))

    def known_end(self) -> LogEnd | None:
        """The end of a log in any state; changes nothing. None: no record can be found."""
        fd, size = self._log.fd, self._log.size
        try:
            end = self._log.marks.durable() or end_of_last_line(fd, size, self._log.path)
        except AuditCorrupt:
            return None
        if end.size <= size:
            end = end_of_records(fd, end, size)
        return end if end != EMPTY else None

    # --- write -----------------------------------------------------------------------------------

    def extend(self, end: LogEnd, build: Build) -> None:
        """Append the lines of *build* at the durable *end*; durable on return."""
        self.commit(end, build(end, tuple(self.unrecorded)))
        self.unrecorded.clear()

    def commit(self, end: LogEnd, batch: Batch) -> None:
        """Write and sync one batch at the durable *end*.

        Raises OSError, AuditUnavailable. Then nothing of it is left, if the disk still truncates.
        """
        fd = self._log.fd
        self._log.marks.set_reach(max(batch.end.size, self._log.size))
        try:
            write_at(fd, batch.data, end.size)
            if self._log.size > batch.end.size:
                os.ftruncate(fd, batch.end.size)  # a torn tail, longer than the lines that record it
                self._log.marks.set_reach(batch.end.size)
        except OSError:
            os.ftruncate(fd, end.size)  # our own short write
            self._log.marks.set_durable(end)
            raise
        try:
            os.fdatasync(fd)
        except OSError:
            self.verify_reaches(self.write_again(end, batch), batch)
        self._log.marks.set_durable(batch.end)

    def write_again(self, durable: LogEnd, batch: Batch) -> LogEnd:
        """After a failed sync: write what is past *durable* again, sync once; the new durable end.

        Reading them back proves nothing: the page cache may show bytes that the disk never got, or
        have lost them. So *batch* is written from memory, and of other writers' lines only those
        that still chain. Raises OSError; then nothing is left past *durable*.
        """
        fd, start = self._log.fd, durable.size // BLOCK * BLOCK
        reach = self._log.marks.reach() or self._log.size
        data = bytearray(read_at(fd, start, min(self._log.size, reach)))
        own = batch.end.size - len(batch.data) - start
        data[own : own + len(batch.data)] = batch.data
        end = end_of_lines(bytes(data[durable.size - start :]), durable)
        try:
            os.ftruncate(fd, durable.size)
            write_at(fd, bytes(data[: end.size - start]), start)
            os.fdatasync(fd)
        except OSError:
            os.ftruncate(fd, durable.size)
            self._log.marks.set_durable(durable)
            raise
        return end

    # --- is a batch still there? -----------------------------------------------------------------

    def verify_holds(self, batch: Batch) -> None:
        """The last line of *batch* is where it was written. Raises AuditUnavailable.

        A writer whose sync failed may have removed the lines of all others.
        """
        ending = line_ending(batch.end.hash)
        if batch.data and os.pread(self._log.fd, len(ending), batch.end.size - len(ending)) != ending:
            raise AuditUnavailable("The audit log was cut before this batch: the sync of another writer failed.")

    def verify_reaches(self, end: LogEnd, batch: Batch) -> None:
        """The whole records up to *end*, which chain, include *batch*. Raises AuditUnavailable."""
        if end.size < batch.end.size:
            raise AuditUnavailable("The audit log lost this batch in a sync that failed.")
        self.verify_holds(batch)
