"""A disk that keeps only what was synced, under the audit log.

It replaces `os` in the audit log (`replaced_os.py`), makes the real calls, and keeps the durable bytes beside them:
fdatasync copies only dirty pages. A failing fdatasync leaves the pages clean, as Linux does, whether or not they reached
the disk: later reads show them, later syncs skip them.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from .replaced_os import Died, RealOs

PAGE, SECTOR = 4096, 512


@dataclass
class ForgetfulDisk(RealOs):
    """Watches one file. *fail*: the numbers, from 0, of the watched calls (write, truncate, sync) that fail."""

    file: Path
    fail: frozenset[int] = frozenset()
    persisted: bool = False
    """Whether a failing sync wrote its pages nevertheless."""
    calls: int = 0
    durable: bytearray = field(default_factory=bytearray)
    dirty: set[int] = field(default_factory=set)

    def pwrite(self, fd: int, data: Any, offset: int) -> int:
        if not self._is_watched(fd):
            return os.pwrite(fd, data, offset)
        if self._fails():  # a short write first, so that there is something to undo
            self._wrote(offset, os.pwrite(fd, bytes(data)[: len(data) // 2], offset))
            raise OSError(errno.ENOSPC, "injected")
        written = os.pwrite(fd, data, offset)
        self._wrote(offset, written)
        return written

    def ftruncate(self, fd: int, length: int) -> None:
        if self._is_watched(fd):
            if self._fails():
                raise OSError(errno.EIO, "injected")
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
            raise OSError(errno.EIO, "injected")
        return None

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


@dataclass
class DyingDisk(ForgetfulDisk):
    """A ForgetfulDisk with many writers that loses power at the watched call *cut*; from then on every call fails.

    *kill*: the calls in which a writer is killed after writing a part. Afterwards `platters` holds the log (sound up to the
    last synced length, anything past it) and `names` the set-aside files that survive.
    """

    cut: int = 1_000_000
    kill: frozenset[int] = frozenset()
    chance: Random = field(default_factory=Random)
    is_off: bool = False
    platters: bytes = b""
    marks: list[bytes] = field(default_factory=list)
    """Every content that the lock file had; it is never synced."""
    names: set[str] = field(default_factory=set)
    _written: set[str] = field(default_factory=set)
    _one: Any = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self._synced = len(self.durable)
        self._lock = self.file.with_name(self.file.name + ".lock")
        self.marks.append(self._lock.read_bytes())

    def pwrite(self, fd: int, data: Any, offset: int) -> int:
        with self._one:
            if self._is_watched(fd):
                self._live_through(fd, bytes(data), offset)
                return super().pwrite(fd, data, offset)
            self._live()
            written = os.pwrite(fd, data, offset)
            self.marks.append(self._lock.read_bytes())
            return written

    def ftruncate(self, fd: int, length: int) -> None:
        with self._one:
            self._live_through(fd)
            super().ftruncate(fd, length)
            self._synced = min(self._synced, length)

    def fdatasync(self, fd: int) -> None:
        with self._one:
            if not self._is_watched(fd):  # a file of the tree
                self._live()
                return os.fdatasync(fd)
            self._live_through(fd)
            super().fdatasync(fd)
            self._synced = os.fstat(fd).st_size
            return None

    def fsync(self, fd: int) -> None:
        """Sync a set-aside file or its folder; the file survives a power loss only after both."""
        with self._one:
            self._live()
            path = Path(f"/proc/self/fd/{fd}").readlink()
            if path.is_dir():
                self.names |= self._written
            else:
                self._written.add(path.name)

    def _live(self) -> None:
        if self.is_off:
            raise OSError(errno.EIO, "there is no power")

    def _live_through(self, fd: int, data: bytes = b"", offset: int = 0) -> None:
        """Begin a watched call. If it is one that kills a writer or the power, write a part of *data* first."""
        self._live()
        if self.calls not in self.kill and self.calls < self.cut:
            return
        part = self.chance.randrange(len(data) + 1)
        if part:
            self._wrote(offset, os.pwrite(fd, data[:part], offset))
        if self.calls >= self.cut:
            self.is_off = True
            self.platters = bytes(self.durable[: self._synced]) + self._past_the_synced(fd)
            self._live()
        self.calls += 1
        raise Died

    def _past_the_synced(self, fd: int) -> bytes:
        """Possible bytes past the synced length: the old ones, the written ones, zeros, garbage, or sectors of each."""
        old = bytes(self.durable[self._synced :])
        new = os.pread(fd, os.fstat(fd).st_size, self._synced)
        both = max(len(old), len(new))
        sources = [old, new, bytes(both), self.chance.randbytes(both)]
        whole = self.chance.choice([b"", *sources, new[: self.chance.randrange(len(new) + 1)]])
        return whole if self.chance.random() < 0.5 else _mixed(sources, both, -self._synced % SECTOR, self.chance)


def _mixed(sources: Sequence[bytes], length: int, first: int, chance: Random) -> bytes:
    """Each sector from one of *sources*, cut off anywhere. *first*: the length of the first sector."""
    pieces, at = [], 0
    while at < length:
        end = at + (first or SECTOR) if at == 0 else at + SECTOR
        pieces.append(chance.choice(sources)[at:end].ljust(min(end, length) - at, b"\0"))
        at = end
    return b"".join(pieces)[: chance.randrange(length + 1)]
