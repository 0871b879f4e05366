"""What records hold only as {"sha256", "bytes"}, kept whole in a folder beside the log, in files named by their SHA-256.

A text is durable before its record is. Who dies in between leaves a text that no record names, or a file that ends in `.new`:
both harm nothing. A file is named by what is in it, so all logs that ever stood at one path share the folder.
"""

from __future__ import annotations

import logging
import stat
from collections.abc import Mapping
from pathlib import Path

from ...errors import AuditUnavailable
from ...kit.durable_files import replace_file, sync_folder

LOG = logging.getLogger("app.audit")


class LongTexts:
    """`audit_log.texts/ab/ab12…`: the folders have mode 0700, the files 0600. Threads and processes may share it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._durable: set[Path] = set()  # folders whose names we have synced

    @classmethod
    def beside(cls, log: Path) -> LongTexts:
        """`audit_log.texts` of `audit_log.jsonl`."""
        return cls(log.resolve().with_suffix(".texts"))

    def path_of(self, sha256: str) -> Path:
        return self.folder / sha256[:2] / sha256

    def keep(self, texts: Mapping[str, bytes]) -> None:
        """Durable on return; blocks. What is there already is read and not written again, unless it is something else.

        Raises AuditUnavailable for any OSError; some of *texts* may be kept then.
        """
        paths = {self.path_of(name): text for name, text in texts.items()}
        folders = sorted({path.parent for path in paths})
        try:
            self._make(folders)
            for path, text in paths.items():
                if not _holds(path, text):
                    replace_file(path, text)
            for folder in folders:  # also for what is there already: its writer may not have come so far
                sync_folder(folder)
        except OSError as error:
            raise AuditUnavailable(f"A long text cannot be kept in {self.folder}: {error.strerror}.") from error

    def _make(self, folders: list[Path]) -> None:
        fresh = [folder for folder in (self.folder, *folders) if _is_made(folder) or folder not in self._durable]
        for parent in sorted({folder.parent for folder in fresh}):
            sync_folder(parent)
        self._durable.update(fresh)


def _is_made(folder: Path) -> bool:
    try:
        folder.mkdir(0o700)
    except FileExistsError:
        return False
    return True


def _holds(path: Path, text: bytes) -> bool:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    if stat.S_ISREG(found.st_mode) and found.st_size == len(text) and path.read_bytes() == text:
        return True
    LOG.warning("The kept text %s is not what its name says: it is written anew.", path)
    return False
