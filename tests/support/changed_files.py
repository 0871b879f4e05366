"""What a stranger does to a file: changes a bit, appends bytes, puts a copy in its place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path


def edit(path: Path, offset: int) -> None:
    """Change one bit of the byte at *offset*; below 0, from the end."""
    with path.open("r+b") as file:
        file.seek(offset, os.SEEK_END if offset < 0 else os.SEEK_SET)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))


def add(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def copy_over(path: Path, change: Callable[[Path], object] = lambda path: None) -> None:
    """Put a copy, maybe a changed one, at the path."""
    copy = path.with_name(f"{path.name}.copy")
    shutil.copy(path, copy)
    change(copy)
    os.replace(copy, path)
