"""Keeps the long texts of which records hold only digests, in files named by their SHA-256.

A text is durable before its record is. A crash in between leaves a text that no record names, or a
temporary file that ends in `.new`; both are harmless. Since a file's name follows from its content,
all logs that were ever at one path share the folder.
"""

from __future__ import annotations

import hashlib
import logging
import stat
from collections.abc import Mapping
from pathlib import Path

from ...errors import AuditUnavailable
from ...kit.durable_files import replace_file, sync_folder

LOG = logging.getLogger("app.audit")


class LongTexts:
    """A TextStore: `audit_log.texts/ab/ab12…`, folders of mode 0700, files of mode 0600.

    Threads and processes may share it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._durable: set[Path] = set()  # folders whose names this process has synced

    @classmethod
    def beside(cls, log: Path) -> LongTexts:
        """`audit_log.texts` of `audit_log.jsonl`."""
        return cls(log.resolve().with_suffix(".texts"))

    def path_of(self, sha256: str) -> Path:
        return self.folder / sha256[:2] / sha256

    def exists(self) -> bool:
        return self.folder.is_dir()

    def read(self, sha256: str) -> bytes | None:
        path = self.path_of(sha256)
        return path.read_bytes() if path.is_file() else None

    def digest_of(self, sha256: str) -> bytes | None:
        try:
            with self.path_of(sha256).open("rb") as file:
                return hashlib.file_digest(file, "sha256").digest()
        except FileNotFoundError:
            return None

    def close(self) -> None:
        """Nothing stays open."""

    def keep(self, texts: Mapping[str, bytes]) -> None:
        paths = {self.path_of(name): text for name, text in texts.items()}
        folders = sorted({path.parent for path in paths})
        try:
            self._make(folders)
            for path, text in paths.items():
                if not _holds(path, text):
                    replace_file(path, text)
            for folder in folders:  # also for texts that were there: their writer may not have synced yet
                sync_folder(folder)
        except OSError as error:
            raise AuditUnavailable(f"A long text cannot be kept in {self.folder}: {error.strerror}.") from error

    def _make(self, folders: list[Path]) -> None:
        """Create *folders*, and sync the names of all that this process has not synced yet."""
        unsynced = [folder for folder in (self.folder, *folders) if _is_made(folder) or folder not in self._durable]
        for parent in sorted({folder.parent for folder in unsynced}):
            sync_folder(parent)
        self._durable.update(unsynced)


def _is_made(folder: Path) -> bool:
    try:
        folder.mkdir(0o700)
    except FileExistsError:
        return False
    return True


def _holds(path: Path, text: bytes) -> bool:
    """Whether *path* is a regular file with these bytes."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    if stat.S_ISREG(found.st_mode) and found.st_size == len(text) and path.read_bytes() == text:
        return True
    LOG.warning("The kept text %s does not match its name and is written again.", path)
    return False
