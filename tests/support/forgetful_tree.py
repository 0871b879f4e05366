"""Nested folders that keep only synced names and bytes.

It replaces `os` in the audit log (`replaced_os.py`) and makes the real calls. Folders are created by pathlib, whose calls are
not watched: what counts is when their names are synced.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .replaced_os import Died, RealOs


@dataclass
class ForgetfulTree(RealOs):
    """Watches everything below *top*, which is itself durable. *end_at*: the number of the call that does not happen."""

    top: Path
    end_at: int = -1
    fails: bool = False
    """Whether that call raises OSError; otherwise the process ends before it."""
    calls: int = 0
    _names: dict[Path, set[tuple[str, int]]] = field(default_factory=dict)  # of a synced folder: name and inode
    _bytes: dict[int, bytes] = field(default_factory=dict)  # of a synced file, by inode

    def open(self, path: Any, flags: int, mode: int = 0o777) -> int:
        self._step()
        return os.open(path, flags, mode)

    def fsync(self, fd: int) -> None:
        self._step()
        path = Path(f"/proc/self/fd/{fd}").readlink()
        if path.is_dir():
            self._names[path] = {(one.name, one.stat().st_ino) for one in path.iterdir()}
        else:
            self._bytes[os.fstat(fd).st_ino] = path.read_bytes()
        os.fsync(fd)

    def rename(self, old: Path, new: Path) -> None:
        self._step()
        assert self._bytes.get(old.stat().st_ino) == old.read_bytes(), "its bytes are not durable yet"
        os.rename(old, new)

    def next_process(self) -> ForgetfulTree:
        """The next process on the same disk; its calls succeed."""
        return ForgetfulTree(self.top, _names=self._names, _bytes=self._bytes)

    def durable(self) -> dict[str, bytes]:
        """The files that a power loss would leave now, by name."""
        return dict(self._below(self.top))

    def _below(self, folder: Path) -> list[tuple[str, bytes]]:
        found: list[tuple[str, bytes]] = []
        for name, inode in self._names.get(folder, ()):
            inside = self._below(folder / name)
            found += inside if (folder / name).is_dir() else [(name, self._bytes.get(inode, b""))]
        return found

    def _step(self) -> None:
        self.calls += 1
        if self.calls - 1 == self.end_at:
            if self.fails:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            raise Died
