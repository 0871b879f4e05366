"""The file of a store in SQLite: which file it is, and what fails with it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .store import StoreFailed


def identity_of(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def faults_of(path: Path) -> Iterator[None]:
    """Raise StoreFailed for every failure of SQLite or of the file system."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StoreFailed(f"{path} cannot be used: {error}") from error
