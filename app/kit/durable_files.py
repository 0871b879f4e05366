"""Bytes on a disk that may be full, slow or failing: whole writes, whole reads, durable names. Raises OSError only."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def open_file(path: Path, create: bool = False) -> int:
    """A descriptor for reading and writing, readable by this user only if it is made now."""
    return os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o600)


def write_at(fd: int, data: bytes, offset: int) -> None:
    """pwrite(2) may write less than asked; loop until whole or fail."""
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        if written <= 0:
            raise OSError(errno.ENOSPC, "the disk took nothing")
        view = view[written:]
        offset += written


def read_at(fd: int, start: int, end: int) -> bytes:
    """Exactly the bytes from *start* to *end*."""
    pieces = []
    while start < end:
        piece = os.pread(fd, end - start, start)
        if not piece:
            raise OSError(errno.EIO, "the file ended while it was read")
        pieces.append(piece)
        start += len(piece)
    return b"".join(pieces)


def write_file(path: Path, pieces: Iterator[bytes]) -> None:
    """A new file, its bytes durable (its name only after sync_folder); on failure it is taken away again."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(fd)
    except OSError:
        with suppress(OSError):
            path.unlink()
        raise


def sync_folder(folder: Path) -> None:
    """A new or renamed file is durable only once its folder is."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def is_same_file(fd: int, path: str) -> bool:
    """Whether *path* still names the open file."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False
