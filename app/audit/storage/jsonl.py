"""The audit log as one JSONL file on one machine, written by many processes as if by one.

Under one lock a batch is written, linked to the last written line; under another it is synced, and while one sync is under
way others write, so that the next sync is for all of them. The lock file says (`mark.py`) where the durable log ends, whether
a sync is under way, and where the written log ends. Bytes past the durable end were never acknowledged: so a crash in the
middle of a write can be told from an edit. The marks only ever lag behind the log, or say that something is amiss; then its
end is judged anew, under both locks.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from ...errors import AuditCorrupt, AuditUnavailable, EvidenceUnavailable
from ...kit.durable_files import read_at, sync_folder, write_at, write_file
from ..format.chain import next_log_end
from ..format.record import EMPTY, HASH_TAIL, LogEnd, split_lines
from .locks import LockedLog
from .marks import parse_mark
from .recovery import BLOCK, NEW_LOG, end_of_chain, end_of_last_line, followed, free_name, make_durable, set_aside
from .store import Batch, Build, Recovery


class JsonlStore:
    """An AuditStore."""

    def __init__(self, path: Path) -> None:
        self._log = LockedLog(path)
        self.path, self.lock_path = self._log.path, self._log.lock_path
        self._one_thread = threading.Lock()  # flock does not part the threads that share a descriptor
        self._recovered: list[Recovery] = []  # set aside, not recorded yet

    # --- the contract of store.AuditStore --------------------------------------------------------

    def exists(self) -> bool:
        return self.path.exists()

    def append(self, build: Build) -> None:
        with self._one_thread:
            batch = self._write(build)
            if batch is not None:
                self._sync(batch)
                return
            with self._log.alone():
                self._extend(self._durable_head(), build)

    def recover(self, build: Build) -> None:
        with self._one_thread, self._log.alone():
            head = self._durable_head()
            if end_of_last_line(self._log.fd, head.size, self.path) != head:
                raise AuditCorrupt(f"The end of the audit log {self.path} is not what was last written. Restore it; {NEW_LOG}.")
            self._extend(head, build)
            self._log.keep_lock_file()

    def create(self, build: Build) -> None:
        self._log.make()
        with self._one_thread, self._log.alone():
            mark = self._log.marks.durable()
            if self._log.size or (mark is not None and mark != EMPTY):
                raise AuditCorrupt(f"The audit log {self.path} exists already, or did; {NEW_LOG}.")
            self._commit(EMPTY, build(EMPTY, ()))
            self._log.keep_lock_file()
            sync_folder(self.path.parent)

    def retire(self, build: Callable[[LogEnd | None, str | None], Batch]) -> None:
        self._log.make()
        with self._one_thread, self._log.alone():
            kept_as = free_name(self.path, "retired") if self._log.size else None
            batch = build(self._head_at_best(), kept_as)
            fresh = self.path.with_name(free_name(self.path, "fresh"))
            write_file(fresh, iter((batch.data,)))
            if kept_as is not None:
                os.rename(self.path, self.path.with_name(kept_as))
            os.rename(fresh, self.path)
            sync_folder(self.path.parent)  # before the marks: they must not be ahead of what they speak of
            self._log.replace()
            self._log.marks.set_durable(batch.head)

    def chunks(self, end: int, start: int = 0) -> Iterator[bytes]:
        try:
            with self.path.open("rb") as file:
                file.seek(start)
                while start < end and (chunk := file.read(min(1 << 20, end - start))):
                    start += len(chunk)
                    yield chunk
        except OSError as error:
            raise EvidenceUnavailable(f"The audit log cannot be read: {error.strerror}.") from error

    def durable(self) -> LogEnd | None:
        try:
            return parse_mark(self.lock_path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise EvidenceUnavailable(f"The audit log cannot be read: {error.strerror}.") from error

    def size(self) -> int:
        try:
            with suppress(OSError):  # no lock: nobody writes here, or a reader who may not look
                fd = os.open(self.lock_path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    fcntl.flock(fd, fcntl.LOCK_SH)
                    return self.path.stat().st_size
                finally:
                    os.close(fd)
            return self.path.stat().st_size
        except OSError as error:
            raise EvidenceUnavailable(f"The audit log cannot be read: {error.strerror}.") from error

    def is_in_place(self) -> bool:
        try:
            if self._log.fd < 0:
                return self.path.exists()
            mark = self._log.marks.durable()
            return self._log.is_in_place() and (mark is None or self._log.size >= mark.size)
        except OSError:
            return False

    def close(self) -> None:
        self._log.close()

    # --- the road of a record: write under one lock, sync under the other --------------------------

    def _write(self, build: Build) -> Batch | None:
        """Write the lines that follow the last written one. None, and nothing done, where the end is to be judged first."""
        log = self._log
        with log.to_write():
            head = log.marks.written()
            if head is None or head.size != log.size or self._recovered:
                return None
            batch = build(head, ())
            try:
                write_at(log.fd, batch.data, head.size)
            except OSError:
                os.ftruncate(log.fd, head.size)  # our own short write
                raise
            log.marks.set_written(batch.head)
            return batch

    def _sync(self, batch: Batch) -> None:
        """Make what is written durable, unless another's sync did that for this batch. Raises AuditUnavailable."""
        log = self._log
        with log.to_sync():
            durable, is_amiss, written = log.marks.read()
            self._verify_stands(batch)
            if durable is not None and durable.size >= batch.head.size:
                return
            if durable is None or is_amiss:
                with log.nobody_writes():
                    log.marks.begin_sync()
                    head = self._settled()
                    log.marks.set_durable(head)
                    self._verify_reaches(head, batch)
                return
            if written is None or written.size < batch.head.size:  # just being written, or it could not be
                written = batch.head
            log.marks.begin_sync()
            try:
                os.fdatasync(log.fd)
            except OSError:
                with log.nobody_writes():
                    head = self._write_anew(durable, batch)
                    log.marks.set_durable(head)
                    self._verify_reaches(head, batch)
                return
            log.marks.end_sync(written)

    def _verify_stands(self, batch: Batch) -> None:
        """That the batch's last line is where it was written: after a failed sync, another takes everybody's lines away."""
        size, wanted = batch.head.size, b',"hash":"%b"}\n' % batch.head.hash.encode()
        if batch.data and os.pread(self._log.fd, HASH_TAIL + 1, size - HASH_TAIL - 1)[-len(wanted) :] != wanted:
            raise AuditUnavailable("The audit log was cut before this batch: the sync of another failed.")

    def _verify_reaches(self, head: LogEnd, batch: Batch) -> None:
        """That the whole records up to *head*, each proven to follow the one before, are this batch's too."""
        if head.size < batch.head.size:
            raise AuditUnavailable("The audit log lost this batch in a sync that failed.")
        self._verify_stands(batch)

    # --- with nobody else at the end of the log ------------------------------------------------------

    def _durable_head(self) -> LogEnd:
        """Where the log ends, all of it durable. What a writer that died left unfinished is copied to a file beside it."""
        head, size = self._settled(), self._log.size
        self._log.marks.set_written(head)
        if head.size < size:  # the next commit cuts it off, with its record: who dies before that leaves it to be found
            self._recovered.append(set_aside(self._log.fd, head, size, self.path))
        return head

    def _settled(self) -> LogEnd:
        """The head after all whole records, made durable. Raises AuditCorrupt for a log that its mark denies."""
        size, mark = self._log.size, self._log.marks.durable()
        if mark is not None and mark.size == size:
            return mark
        if mark is None:
            mark = end_of_chain(self._log.fd, size, self.path)
        if size < mark.size:
            raise AuditCorrupt(
                f"The audit log {self.path} is shorter than it was: {size} bytes of {mark.size}. Restore it; {NEW_LOG}."
            )
        if mark != EMPTY and end_of_last_line(self._log.fd, mark.size, self.path) != mark:  # never cut at another log's mark
            raise AuditCorrupt(f"The audit log {self.path} is not the one that its lock file speaks of. Restore it; {NEW_LOG}.")
        return make_durable(self._log.fd, mark, size)

    def _head_at_best(self) -> LogEnd | None:
        """The head as far as it can be told, of a log in any state; mends nothing. None: nothing is known of any record."""
        fd, size = self._log.fd, self._log.size
        try:
            head = self._log.marks.durable() or end_of_last_line(fd, size, self.path)
        except AuditCorrupt:
            return None
        head = followed(fd, head, size) if head.size <= size else head
        return head if head != EMPTY else None

    def _extend(self, head: LogEnd, build: Build) -> None:
        self._commit(head, build(head, tuple(self._recovered)))
        self._recovered.clear()

    def _commit(self, head: LogEnd, batch: Batch) -> None:
        """Write and sync one batch at *head*. On failure nothing of it remains, as far as the disk obeys."""
        fd = self._log.fd
        try:
            write_at(fd, batch.data, head.size)
            if self._log.size > batch.head.size:
                os.ftruncate(fd, batch.head.size)  # a torn tail, longer than the lines that record it
        except OSError:
            os.ftruncate(fd, head.size)  # our own short write
            self._log.marks.set_durable(head)
            raise
        try:
            os.fdatasync(fd)
        except OSError:
            self._verify_reaches(self._write_anew(head, batch), batch)
        self._log.marks.set_durable(batch.head)

    def _write_anew(self, durable: LogEnd, batch: Batch) -> LogEnd:
        """After a failed sync: make what is past *durable* dirty again, and sync once.

        A re-read proves nothing: the page cache may show bytes that the disk never got, or have lost them. So *batch* is
        written from memory, and of the others' lines only those that chain. The new durable end. Raises OSError with nothing
        left past the old one; then nobody's lines stand there.
        """
        fd, start = self._log.fd, durable.size // BLOCK * BLOCK
        data = bytearray(read_at(fd, start, self._log.size))
        own = batch.head.size - len(batch.data) - start
        data[own : own + len(batch.data)] = batch.data
        head = durable
        for line in split_lines([bytes(data[durable.size - start :])]):
            after = next_log_end(line, head)
            if after is None:
                break
            head = after
        try:
            os.ftruncate(fd, durable.size)
            write_at(fd, bytes(data[: head.size - start]), start)
            os.fdatasync(fd)
        except OSError:
            os.ftruncate(fd, durable.size)
            self._log.marks.set_durable(durable)
            raise
        return head
