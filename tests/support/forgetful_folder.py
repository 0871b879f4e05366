"""A folder that keeps only what was synced, under the checkpoint signer.

It replaces `os` in the audit log (`replaced_os.py`), makes the real calls, and keeps what is durable beside them: the bytes
of a file once it is synced, a name once its folder is. Any one call can fail or be the last of its process.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .replaced_os import Died, RealOs


@dataclass
class ForgetfulFolder(RealOs):
    """Watches one folder. *end_at*: the number of the watched call (open, write, sync, rename) that does not happen."""

    folder: Path
    end_at: int = -1
    fails: bool = False
    """Whether that call raises OSError; otherwise the process ends before it."""
    calls: int = 0
    served: list[bytes] = field(default_factory=list)
    """Every checkpoint that was ever published as `checkpoint`."""
    _bytes: dict[int, bytes] = field(default_factory=dict)  # by inode: what is durable
    _names: dict[str, int] = field(default_factory=dict)
    _fds: dict[int, int] = field(default_factory=dict)  # of files in the folder
    _held: list[int] = field(default_factory=list)  # kept open so that no inode number is reused

    def __post_init__(self) -> None:
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            self._hold(path)
            self._bytes[path.stat().st_ino] = path.read_bytes()
            self._names[path.name] = path.stat().st_ino

    # --- the calls -------------------------------------------------------------------------------

    def open(self, path: Any, flags: int, mode: int = 0o777) -> int:
        if Path(path) != self.folder and Path(path).parent != self.folder:
            return os.open(path, flags, mode)
        self._step()
        fd = os.open(path, flags, mode)
        inode = os.fstat(fd).st_ino
        self._fds[fd] = inode
        if Path(path) != self.folder and inode not in self._bytes:
            self._bytes[inode] = b""
            self._hold(Path(path))
        return fd

    def pwrite(self, fd: int, data: Any, offset: int) -> int:
        if fd in self._fds:
            self._step(lambda: os.pwrite(fd, bytes(data)[: len(data) // 2], offset))
        return os.pwrite(fd, data, offset)

    def fsync(self, fd: int) -> None:
        if (inode := self._fds.get(fd)) is not None:
            self._step()
            if inode == self.folder.stat().st_ino:
                self._names = {path.name: path.stat().st_ino for path in self.folder.iterdir()}
            else:
                self._bytes[inode] = _whole(fd)
        os.fsync(fd)

    fdatasync = fsync

    def rename(self, old: Path, new: Path) -> None:
        if new.name == "checkpoint":
            self._check_durable(old)
        self._step()
        os.rename(old, new)
        if new.name == "checkpoint":
            self.served.append(new.read_bytes())

    def close(self, fd: int) -> None:
        self._fds.pop(fd, None)
        os.close(fd)

    # --- afterwards ------------------------------------------------------------------------------

    def lose_power(self, *, names_persisted: bool, bytes_persisted: bool) -> None:
        """Leave in the folder what a power loss may leave: the least, the most, or a mixture."""
        now = {path.name: path.stat().st_ino for path in self.folder.iterdir()} if self.folder.is_dir() else {}
        current = {os.fstat(fd).st_ino: _whole(fd) for fd in self._held}
        after = now if names_persisted else self._names
        for name in {*now, *after}:
            (self.folder / name).unlink(missing_ok=True)
        for name, inode in after.items():
            (self.folder / name).write_bytes((current if bytes_persisted else self._bytes)[inode])

    def forget(self) -> None:
        for fd in self._held:
            os.close(fd)
        self._held.clear()

    def _step(self, first: Any = None) -> None:
        self.calls += 1
        if self.calls - 1 == self.end_at:
            if first is not None:
                first()  # half of it, so that there is something to repair
            if self.fails:
                raise OSError(errno.EIO, "injected")
            raise Died

    def _hold(self, path: Path) -> None:
        self._held.append(os.open(path, os.O_RDONLY))

    def _check_durable(self, new: Path) -> None:
        """A checkpoint must be durable under some name before it is published as `checkpoint`."""
        inode = new.stat().st_ino
        assert self._names.get(new.name) == inode, "its name is not durable"
        assert self._bytes[inode] == new.read_bytes(), "its bytes are not durable"


def _whole(fd: int) -> bytes:
    """The whole content of the file, although the descriptor may be write-only."""
    return Path(f"/proc/self/fd/{fd}").read_bytes()
