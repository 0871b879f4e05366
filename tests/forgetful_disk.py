"""What the audit log's file system calls would have left on the platters: a disk that keeps only what was synced.

It stands between app.security.audit.jsonl, files and `os`, the lowest seam there is, and lets the real calls through. Beside
them it keeps what is durable: a page is copied there by fdatasync only while it is dirty. A failing fdatasync leaves the
pages clean, as Linux does, whether or not they got to the disk: later reads show them, later syncs skip them.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PAGE = 4096


@dataclass
class ForgetfulDisk:
    """Watches one file. *fail* are the numbers of the watched calls (write, truncate, sync) that fail, counted from 0."""

    file: Path
    fail: frozenset[int] = frozenset()
    persisted: bool = False
    """Whether a sync that fails wrote its pages all the same."""
    calls: int = 0
    durable: bytearray = field(default_factory=bytearray)
    dirty: set[int] = field(default_factory=set)

    def pwrite(self, fd: int, data: Any, offset: int) -> int:
        if not self._is_watched(fd):
            return os.pwrite(fd, data, offset)
        if self._fails():  # a short write first, so that something is there to be taken back
            self._wrote(offset, os.pwrite(fd, bytes(data)[: len(data) // 2], offset))
            raise OSError(errno.ENOSPC, "as told")
        written = os.pwrite(fd, data, offset)
        self._wrote(offset, written)
        return written

    def ftruncate(self, fd: int, length: int) -> None:
        if self._is_watched(fd):
            if self._fails():
                raise OSError(errno.EIO, "as told")
            self.dirty = {page for page in self.dirty if page * PAGE < length} | {length // PAGE}
        os.ftruncate(fd, length)

    def fdatasync(self, fd: int) -> None:
        if not self._is_watched(fd):
            return os.fdatasync(fd)
        failed = self._fails()
        if not failed or self.persisted:
            self._persist(fd)
        self.dirty.clear()
        if failed:
            raise OSError(errno.EIO, "as told")
        return None

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def _is_watched(self, fd: int) -> bool:
        return self.file.exists() and os.path.samestat(os.fstat(fd), self.file.stat())

    def _fails(self) -> bool:
        self.calls += 1
        return self.calls - 1 in self.fail

    def _wrote(self, offset: int, length: int) -> None:
        self.dirty |= set(range(offset // PAGE, (offset + max(length, 1) - 1) // PAGE + 1))

    def _persist(self, fd: int) -> None:
        size = os.fstat(fd).st_size
        del self.durable[size:]
        for page in sorted(self.dirty):
            start = page * PAGE
            data = os.pread(fd, min(PAGE, max(0, size - start)), start)
            self.durable.extend(b"\0" * max(0, start + len(data) - len(self.durable)))
            self.durable[start : start + len(data)] = data
