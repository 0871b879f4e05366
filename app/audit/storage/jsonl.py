"""The audit log as one JSONL file on one machine, written by many processes in turn.

A batch is written under one lock, after the last written line, and synced under another. While one
process syncs, others write, so that the next sync covers them all. The marks in the lock file
(`marks.py`) say how far the log is written and how far it is durable. Where they do not match the
file, its end is examined under both locks (`tail.py`).
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeGuard

from ...errors import AuditCorrupt, AuditUnavailable, EvidenceUnavailable
from ...kit.durable_files import open_to_read, sync_folder, write_at, write_file
from ..format.record import EMPTY, LogEnd
from .file_watch import FileWatch
from .locks import LockedLog
from .marks import parse_mark
from .meter import StorageMeter
from .recovery import NEW_LOG, end_of_last_line, free_name
from .running import is_running
from .store import Batch, Build, Look
from .tail import LogTail

CHUNK = 1 << 20


class JsonlStore:
    """An AuditStore."""

    def __init__(self, path: Path, verify_sound: Callable[[], None] = lambda: None, meter: StorageMeter | None = None) -> None:
        """*verify_sound* is called before each write, and may refuse it with AuditCorrupt."""
        self._log = LockedLog(path)
        self._log.meter = meter
        self._tail = LogTail(self._log)
        self._watch = FileWatch(self._log, self._tail)
        self._verify_sound = verify_sound
        self.path, self.lock_path = self._log.path, self._log.lock_path
        self._one_thread = threading.Lock()  # flock does not exclude threads that share a descriptor
        self._end: LogEnd | None = None  # of what this process wrote last
        self._is_alone = True
        """Nobody else has written between the last two batches."""

    # --- writing: see AuditStore -----------------------------------------------------------------

    def append(self, build: Build) -> None:
        self._verify_sound()
        with self._one_thread:
            if self._is_alone and self._write_and_sync(build):
                return
            batch = self._write(build)
            if batch is not None:
                self._sync(batch)
                return
            with self._log.both_locks():
                self._tail.extend(self._tail.recover_end(), build)

    def recover(self, build: Build, *, at_start: bool = False) -> None:
        self._verify_sound()
        is_start = at_start and not self._is_in_use()
        with self._one_thread, self._log.both_locks():
            end = self._tail.recover_end(is_start=is_start)
            if end_of_last_line(self._log.fd, end.size, self.path) != end:
                raise AuditCorrupt(f"The end of the audit log {self.path} is not what was last written. Restore it; {NEW_LOG}.")
            self._tail.extend(end, build)
            self._log.sync_lock_file()

    def create(self, build: Build) -> None:
        self._log.make()
        with self._one_thread, self._log.both_locks():
            mark = self._log.marks.durable()
            if self._log.size or (mark is not None and mark != EMPTY):
                raise AuditCorrupt(f"The audit log {self.path} exists already, or did; {NEW_LOG}.")
            self._tail.commit(EMPTY, build(EMPTY, ()))
            self._log.sync_lock_file()
            sync_folder(self.path.parent)

    def retire(self, build: Callable[[LogEnd | None, str | None], Batch]) -> None:
        self._log.make()
        with self._one_thread, self._log.both_locks():
            kept_as = free_name(self.path, "retired") if self._log.size else None
            batch = build(self._tail.known_end(), kept_as)
            fresh = self.path.with_name(free_name(self.path, "fresh"))
            write_file(fresh, (batch.data,))
            if kept_as is not None:
                os.rename(self.path, self.path.with_name(kept_as))
            os.rename(fresh, self.path)
            sync_folder(self.path.parent)  # before the marks, which must never be ahead of the log
            self._log.reopen()
            self._log.marks.set_durable(batch.end)

    def _is_in_use(self) -> bool:
        try:
            return is_running(self.path)
        except OSError as error:
            raise AuditUnavailable(f"The audit log cannot be opened: {error.strerror}.") from error

    # --- the two steps of an append --------------------------------------------------------------

    def _write_and_sync(self, build: Build) -> bool:
        """Both steps at once, with half as many system calls; others write while this one syncs.

        False, and nothing done, while another process syncs, or where the end of the log must be
        examined first.
        """
        log = self._log
        with log.both_locks_if_free() as are_ours:
            if not are_ours:
                return False
            durable, is_sync_unfinished, end = log.marks.read()
            if durable is None or is_sync_unfinished or not self._may_follow(end):
                return False
            batch = self._extend(end, build)
            log.marks.begin_sync_of(batch.end)
            log.let_others_write()
            self._sync_now(durable, batch, batch.end)
            return True

    def _write(self, build: Build) -> Batch | None:
        """Write the lines that follow the last written one; they are not durable yet.

        None, and nothing done, where the end of the log must be examined first.
        """
        log = self._log
        with log.write_lock():
            end = log.marks.written()
            if not self._may_follow(end):
                return None
            batch = self._extend(end, build)
            log.marks.set_written(batch.end)
            return batch

    def _may_follow(self, end: LogEnd | None) -> TypeGuard[LogEnd]:
        return end is not None and end.size == self._log.size and not self._tail.unrecorded

    def _extend(self, end: LogEnd, build: Build) -> Batch:
        """Write the lines that follow *end*. Raises OSError, with nothing of them left."""
        log, batch = self._log, build(end, ())
        log.marks.set_reach(batch.end.size)
        try:
            write_at(log.fd, batch.data, end.size)
        except OSError:
            os.ftruncate(log.fd, end.size)  # our own short write
            raise
        self._is_alone, self._end = end == self._end, batch.end
        return batch

    def _sync(self, batch: Batch) -> None:
        """Make *batch* durable, and all that was written before it. Raises AuditUnavailable.

        Nothing is left to do where another process synced after *batch* was written.
        """
        log, tail = self._log, self._tail
        with log.sync_lock():
            durable, is_sync_unfinished, written = log.marks.read()
            tail.verify_holds(batch)
            if durable is not None and durable.size >= batch.end.size:
                return
            if durable is None or is_sync_unfinished:
                with log.write_lock_too():
                    log.marks.begin_sync()
                    end = tail.durable_end()
                    log.marks.set_durable(end)
                    if end.size < log.size:  # lost pages: for the next append to set aside
                        log.marks.begin_sync()
                    tail.verify_reaches(end, batch)
                return
            if written is None or written.size < batch.end.size:  # the mark is being written, or could not be
                written = batch.end
            log.marks.begin_sync()
            self._sync_now(durable, batch, written)

    def _sync_now(self, durable: LogEnd, batch: Batch, written: LogEnd) -> None:
        """The mark of a sync is set. *written*: the end that this sync covers."""
        log = self._log
        try:
            log.sync()
        except OSError:
            with log.write_lock_too():
                end = self._tail.write_again(durable, batch)
                log.marks.set_durable(end)
                self._tail.verify_reaches(end, batch)
            return
        log.marks.end_sync(written)

    # --- reading: see AuditStore -----------------------------------------------------------------

    def exists(self) -> bool:
        return self.path.exists()

    def durable(self) -> LogEnd | None:
        try:
            with open(self.lock_path, "rb", opener=open_to_read) as file:
                return parse_mark(file.read())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _cannot_be_read(error) from error

    def size(self) -> int:
        try:
            with suppress(OSError):  # without a lock file nobody writes here, or we may not open it
                fd = open_to_read(self.lock_path)
                try:
                    fcntl.flock(fd, fcntl.LOCK_SH)
                    return self.path.stat().st_size
                finally:
                    os.close(fd)
            return self.path.stat().st_size
        except OSError as error:
            raise _cannot_be_read(error) from error

    def chunks(self, end: int, start: int = 0) -> Iterator[bytes]:
        try:
            with open(self.path, "rb", opener=open_to_read) as file:
                file.seek(start)
                while start < end and (chunk := file.read(min(CHUNK, end - start))):
                    start += len(chunk)
                    yield chunk
        except OSError as error:
            raise _cannot_be_read(error) from error

    def is_in_place(self) -> bool:
        try:
            if self._log.fd < 0:
                return self.path.exists()
            mark = self._log.marks.durable()
            return self._log.is_in_place() and (mark is None or self._log.size >= mark.size)
        except OSError:
            return False

    def look(self) -> Look:
        with self._one_thread:
            return self._watch.look()

    def accept_files(self) -> None:
        self._watch.accept()

    def close(self) -> None:
        self._log.close()


def _cannot_be_read(error: OSError) -> EvidenceUnavailable:
    return EvidenceUnavailable(f"The audit log cannot be read: {error.strerror}.")
