"""What the audit log's file system calls would have left on the platters: a disk that keeps only what was synced.

It takes the place of `os` under the audit log (`replaced_os.py`) and lets the real calls through. Beside them it keeps what
is durable: fdatasync copies a page there only while it is dirty. A failing fdatasync leaves the pages clean, as Linux does,
whether or not they got to the disk: later reads show them, later syncs skip them.
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

PAGE, SECTOR = 4096, 512


class Died(BaseException):
    """A writer was killed: nothing of it runs on, and the kernel takes its lock away."""


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


@dataclass
class DyingDisk(ForgetfulDisk):
    """A ForgetfulDisk under many writers at once, until its power is cut at the watched call *cut*: from then on all fails.

    *kill*: the calls in which a writer dies, having written a part. What lies on the platters afterwards is in `platters`
    (the log: sound up to the last synced length, anything past it) and `names` (the files set aside that outlive it).
    """

    cut: int = 1_000_000
    kill: frozenset[int] = frozenset()
    chance: Random = field(default_factory=Random)
    is_off: bool = False
    platters: bytes = b""
    marks: list[bytes] = field(default_factory=list)
    """Everything that the lock file ever held; it is never synced."""
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
        """Of a file that is set aside, or of its folder: only both together let it outlive a loss of power."""
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
        """A watched call begins. If it is one in which somebody or everything dies, a part of *data* is written before."""
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
        """What may lie there: what was there before, what was written, zeros, garbage, or of each a few sectors."""
        old = bytes(self.durable[self._synced :])
        new = os.pread(fd, os.fstat(fd).st_size, self._synced)
        both = max(len(old), len(new))
        sources = [old, new, bytes(both), self.chance.randbytes(both)]
        whole = self.chance.choice([b"", *sources, new[: self.chance.randrange(len(new) + 1)]])
        return whole if self.chance.random() < 0.5 else _mixed(sources, both, -self._synced % SECTOR, self.chance)


def _mixed(sources: Sequence[bytes], length: int, first: int, chance: Random) -> bytes:
    """Each sector from one of *sources*, cut off anywhere. *first*: how long the first one is."""
    pieces, at = [], 0
    while at < length:
        end = at + (first or SECTOR) if at == 0 else at + SECTOR
        pieces.append(chance.choice(sources)[at:end].ljust(min(end, length) - at, b"\0"))
        at = end
    return b"".join(pieces)[: chance.randrange(length + 1)]
