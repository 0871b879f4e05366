"""Files that must outlive a crash: whole writes, whole reads, durable names. Raises OSError only.

| function | after a crash | durable on return |
| --- | --- | --- |
| `write_file` | a part of the new file | its bytes; its name only after `sync_folder` |
| `create_file` | no file, or all of it | bytes and name; never overwrites |
| `replace_file` | the old bytes, or the new | its bytes; its name only after `sync_folder` |
| `write_pieces` | any part of the pieces | bytes and name |

All files have mode 0600. A crash may also leave a temporary file beside `path`, named
`<name>.<16 hex digits>.new`.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

# --- a descriptor --------------------------------------------------------------------------------


def open_file(path: Path, create: bool = False) -> int:
    """A descriptor for reading and writing. A file that is created has mode 0600."""
    return os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o600)


def open_to_read(path: str | Path, flags: int = os.O_RDONLY) -> int:
    """A descriptor for reading, also as the `opener` of `open`.

    Where somebody put a pipe in the place of the file, this does not wait for who writes to it.
    """
    return os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)


def write_at(fd: int, data: bytes, offset: int) -> None:
    """All of *data*: pwrite(2) may write less than asked."""
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


def is_same_file(fd: int, path: str) -> bool:
    """Whether *path* still names the open file."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


# --- a whole file --------------------------------------------------------------------------------


def write_file(path: Path, pieces: Iterable[bytes]) -> None:
    """Write a new file. On OSError it is removed again. Raises FileExistsError if *path* exists."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        try:
            offset = 0
            for piece in pieces:
                write_at(fd, piece, offset)
                offset += len(piece)
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError:
        with suppress(OSError):
            path.unlink()
        raise


def create_file(path: Path, data: bytes) -> None:
    """Write a new file in one step. Raises FileExistsError; the name is durable then, too."""
    temporary = _beside(path)
    write_file(temporary, (data,))
    try:
        os.link(temporary, path)
    finally:
        temporary.unlink()
        sync_folder(path.parent)


def replace_file(path: Path, data: bytes) -> None:
    """Write a file in one step, over one that may exist."""
    temporary = _beside(path)
    write_file(temporary, (data,))
    try:
        os.rename(temporary, path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.{os.urandom(8).hex()}.new")


# --- a file that is written in place -------------------------------------------------------------


def write_pieces(path: Path, pieces: Iterable[tuple[int, bytes]]) -> None:
    """Write each piece at its offset. The file is created if it is missing."""
    is_new = not path.exists()
    fd = open_file(path, create=True)
    try:
        for offset, data in pieces:
            write_at(fd, data, offset)
        os.fdatasync(fd)
    finally:
        os.close(fd)
    if is_new:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in *folder* durable: those of new, linked and renamed files."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
