"""The audit log as one JSONL file on one machine, written by many processes.

Beside `audit_log.jsonl` stands `audit_log.jsonl.lock`, never renamed. Whoever appends holds its flock(2). It also says
where the durable log ends (`size seq hash`): bytes past that were never acknowledged, so a crash in the middle of a
write can be told from an edit. It is written after every sync, and only ever lags behind the log.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from ...errors import AuditCorrupt, AuditUnavailable, ConfigError
from .chain import next_head, split_lines
from .entry import EMPTY, MAX_LINE_BYTES, Head
from .files import is_same_file, open_file, read_at, sync_folder, write_at, write_file
from .mark import MAX_MARK_BYTES, mark_of, parse_mark
from .store import Batch, Build, Recovery

BLOCK = 4096
PIECE = 8 << 20
NEW_LOG = "if that is intended, python -m app init --new-log starts another and records the old head"


class JsonlStore:
    """An AuditStore. Opens its files at first use, so that every forked process has a lock of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()  # two names of one file must share one lock
        self.lock_path = self.path.with_name(self.path.name + ".lock")
        self._fd = -1
        self._lock_fd = -1
        self._one_thread = threading.Lock()  # flock does not part the threads that share a descriptor
        self._recovered: list[Recovery] = []  # set aside, not recorded yet

    # --- the contract of store.AuditStore --------------------------------------------------------

    def exists(self) -> bool:
        return self.path.exists()

    def append(self, build: Build) -> None:
        with self._locked():
            self._extend(self._durable_head(), build)

    def settle(self, build: Build) -> None:
        with self._locked():
            head = self._durable_head()
            if self._head_of_last_line(head.size) != head:
                raise AuditCorrupt(f"The end of the audit log {self.path} is not what was last written. Restore it; {NEW_LOG}.")
            self._extend(head, build)

    def create(self, build: Build) -> None:
        self._make_files()
        with self._locked():
            mark = self._read_mark()
            if os.fstat(self._fd).st_size or (mark is not None and mark != EMPTY):
                raise AuditCorrupt(f"The audit log {self.path} exists already, or did; {NEW_LOG}.")
            self._commit(EMPTY, build(EMPTY, ()))
            sync_folder(self.path.parent)

    def retire(self, build: Callable[[Head | None, str | None], Batch]) -> None:
        self._make_files()
        with self._locked():
            kept_as = self._free_name("retired") if os.fstat(self._fd).st_size else None
            batch = build(self._head_at_best(), kept_as)
            fresh = self.path.with_name(self._free_name("fresh"))
            write_file(fresh, iter((batch.data,)))
            if kept_as is not None:
                os.rename(self.path, self.path.with_name(kept_as))
            os.rename(fresh, self.path)
            sync_folder(self.path.parent)  # before the mark: a mark must not be ahead of what it speaks of
            old_fd, self._fd = self._fd, open_file(self.path)
            os.close(old_fd)
            self._write_mark(batch.head)

    def chunks(self, end: int, start: int = 0) -> Iterator[bytes]:
        try:
            with self.path.open("rb") as file:
                file.seek(start)
                while start < end and (chunk := file.read(min(1 << 20, end - start))):
                    start += len(chunk)
                    yield chunk
        except OSError as error:
            raise AuditUnavailable(f"The audit log cannot be read: {error.strerror}.") from error

    def durable(self) -> Head | None:
        try:
            return parse_mark(self.lock_path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise AuditUnavailable(f"The audit log cannot be read: {error.strerror}.") from error

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
            raise AuditUnavailable(f"The audit log cannot be read: {error.strerror}.") from error

    def is_in_place(self) -> bool:
        try:
            if self._fd < 0:
                return self.path.exists()
            mark = self._read_mark()
            there = is_same_file(self._fd, self.path) and is_same_file(self._lock_fd, self.lock_path)
            return there and (mark is None or os.fstat(self._fd).st_size >= mark.size)
        except OSError:
            return False

    def close(self) -> None:
        fds = self._fd, self._lock_fd
        self._fd = self._lock_fd = -1
        for fd in fds:
            if fd >= 0:
                os.close(fd)

    # --- under the lock --------------------------------------------------------------------------

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock on files that are still the ones at their paths. Waits; callers have the deadline."""
        with self._one_thread:
            try:
                if self._fd < 0:
                    self._open()
                fcntl.flock(self._lock_fd, fcntl.LOCK_EX)
            except OSError as error:
                raise AuditUnavailable(f"The audit log cannot be opened: {error.strerror}.") from error
            try:
                if not (is_same_file(self._fd, self.path) and is_same_file(self._lock_fd, self.lock_path)):
                    self.close()  # the next call opens what is there then
                    raise AuditCorrupt(f"The audit log {self.path} or its lock was moved or replaced while it was in use.")
                yield
            except OSError as error:
                raise AuditUnavailable(f"The audit log cannot be written: {error.strerror}.") from error
            finally:
                if self._lock_fd >= 0:
                    fcntl.flock(self._lock_fd, fcntl.LOCK_UN)

    def _durable_head(self) -> Head:
        """Where the log ends, all of it durable. What a writer that died left unfinished is copied to a file beside it."""
        size = os.fstat(self._fd).st_size
        mark = self._read_mark()
        if mark is not None and mark.size == size:
            return mark
        if mark is None:
            mark = self._head_of_last_line(size)
        if size < mark.size:
            raise AuditCorrupt(
                f"The audit log {self.path} is shorter than it was: {size} bytes of {mark.size}. Restore it; {NEW_LOG}."
            )
        if mark != EMPTY and self._head_of_last_line(mark.size) != mark:  # never cut a log at another log's mark
            raise AuditCorrupt(f"The audit log {self.path} is not the one that its lock file speaks of. Restore it; {NEW_LOG}.")
        return self._settle(mark, size)

    def _settle(self, durable: Head, size: int) -> Head:
        """Make the whole records past *durable* durable (they are dirtied anew: a sync may have failed), copy the rest away.

        The rest is cut off by the next commit, together with its record: whoever dies before that leaves it to be found.
        """
        start = durable.size // BLOCK * BLOCK
        write_at(self._fd, read_at(self._fd, start, durable.size), start)
        head = durable
        while (after := self._follow(head, size)) != head:
            write_at(self._fd, read_at(self._fd, head.size, after.size), head.size)
            head = after
        os.fdatasync(self._fd)
        self._write_mark(head)
        if head.size < size:
            self._recovered.append(self._set_aside(head, size))
        return head

    def _follow(self, head: Head, size: int) -> Head:
        """The head after the whole records that follow *head* in the next piece; *head* itself if there is none."""
        for line in split_lines([read_at(self._fd, head.size, min(size, head.size + PIECE))]):
            after = next_head(line, head)
            if after is None:
                break
            head = after
        return head

    def _head_at_best(self) -> Head | None:
        """The head as far as it can be told, of a log in any state; mends nothing. None: nothing is known of any record."""
        size = os.fstat(self._fd).st_size
        mark = self._read_mark()
        try:
            head = mark or self._head_of_last_line(size)
        except AuditCorrupt:
            return None
        while head.size <= size and (after := self._follow(head, size)) != head:
            head = after
        return head if head != EMPTY else None

    def _extend(self, head: Head, build: Build) -> None:
        self._commit(head, build(head, tuple(self._recovered)))
        self._recovered.clear()

    def _commit(self, head: Head, batch: Batch) -> None:
        """Write and sync one batch at *head*. On failure nothing of it remains, as far as the disk obeys."""
        try:
            write_at(self._fd, batch.data, head.size)
            if os.fstat(self._fd).st_size > batch.head.size:
                os.ftruncate(self._fd, batch.head.size)  # a torn tail, longer than the lines that record it
        except OSError:
            os.ftruncate(self._fd, head.size)  # our own short write
            raise
        try:
            os.fdatasync(self._fd)
        except OSError:
            self._commit_anew(head, batch)
        self._write_mark(batch.head)

    def _commit_anew(self, head: Head, batch: Batch) -> None:
        """After a failed sync the page cache shows bytes that the disk never got: make them dirty again, sync once."""
        start = head.size // BLOCK * BLOCK
        tail = read_at(self._fd, start, head.size)
        try:
            os.ftruncate(self._fd, head.size)
            write_at(self._fd, tail + batch.data, start)
            os.fdatasync(self._fd)
        except OSError:
            os.ftruncate(self._fd, head.size)
            raise

    def _head_of_last_line(self, size: int) -> Head:
        """The head without a mark: the last whole line must be a record. Raises AuditCorrupt if it is not."""
        start = max(0, size - 2 * MAX_LINE_BYTES)
        window = read_at(self._fd, start, size)
        end = window.rfind(b"\n") + 1  # a torn tail may follow
        line = window[window.rfind(b"\n", 0, end - 1) + 1 : end] if end else b""
        found = re.match(rb'\{"v":1,"seq":(\d{1,19}),', line)
        previous = re.search(rb',"prev_hash":"([0-9a-f]{64})","hash":"[0-9a-f]{64}"\}\n\Z', line)
        if found and previous:
            before = Head(start + end - len(line), int(found[1]) - 1, previous[1].decode())
            if (head := next_head(line, before)) is not None:
                return head
        raise AuditCorrupt(f"The last line of the audit log {self.path} is not a record. Restore it; {NEW_LOG}.")

    # --- the mark, and what is set aside ---------------------------------------------------------

    def _read_mark(self) -> Head | None:
        return parse_mark(os.pread(self._lock_fd, MAX_MARK_BYTES, 0))

    def _write_mark(self, head: Head) -> None:
        with suppress(OSError):  # the records are durable; a mark that lags is caught up by the next append
            os.pwrite(self._lock_fd, mark_of(head), 0)

    def _set_aside(self, head: Head, size: int) -> Recovery:
        """Copy a torn tail to a file of its own, durable before it leaves the log."""
        name = self._free_name(f"torn-after-{head.seq}")
        digest = hashlib.sha256()

        def pieces() -> Iterator[bytes]:
            for start in range(head.size, size, PIECE):
                piece = read_at(self._fd, start, min(size, start + PIECE))
                digest.update(piece)
                yield piece

        write_file(self.path.with_name(name), pieces())
        sync_folder(self.path.parent)
        return Recovery(size - head.size, digest.hexdigest(), name)

    # --- files -----------------------------------------------------------------------------------

    def _make_files(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            for path in (self.lock_path, self.path):
                os.close(open_file(path, create=True))
            sync_folder(self.path.parent)
        except OSError as error:
            raise ConfigError(f"AUDIT_LOG_PATH {self.path} cannot be created: {error.strerror}.") from error

    def _open(self) -> None:
        lock_fd = open_file(self.lock_path, create=self.path.exists())  # a restored backup has none: the mark starts anew
        try:
            self._fd = open_file(self.path)
        except OSError:
            os.close(lock_fd)
            raise
        self._lock_fd = lock_fd

    def _free_name(self, what: str) -> str:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
        return f"{self.path.stem}.{what}.{stamp}{self.path.suffix}"
