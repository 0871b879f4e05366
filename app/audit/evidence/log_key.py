"""The file of the log key: an Ed25519 signer in the form of Go's sumdb/note, mode 0600."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ...errors import ConfigError, VerificationFailed
from ...kit.durable_files import create_file, sync_folder
from ..format.note import Signer, VerifierKey


def load_signer(path: Path) -> Signer:
    """Raises FileNotFoundError where there is no file, ConfigError for one that is unusable."""
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise ConfigError(f"AUDIT_KEY_PATH {path} can be read by others than the service: chmod 600 {path}.")
        return Signer.parse(path.read_text("utf-8"))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigError(f"AUDIT_KEY_PATH {path} cannot be read ({error.strerror}): change its rights.") from error
    except (VerificationFailed, UnicodeDecodeError):
        raise ConfigError(f"AUDIT_KEY_PATH {path} holds no log key. Restore it from the backup.") from None


def store_signer(path: Path, signer: Signer) -> None:
    """Write the key to a new file; after a crash there is all of it or none. Durable on return.

    Raises FileExistsError, ConfigError.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        create_file(path, f"{signer.text()}\n".encode())
    except OSError as error:
        if isinstance(error, FileExistsError) and path.exists():
            raise
        raise _cannot_be_written(path, error) from error


def take_name(new: Path, path: Path) -> None:
    """Rename the key *new* to *path*, unless another process did it. Durable on return."""
    try:
        os.rename(new, path)
        sync_folder(path.parent)
    except FileNotFoundError:
        if not path.exists():
            raise
    except OSError as error:
        raise _cannot_be_written(path, error) from error


def _cannot_be_written(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"AUDIT_KEY_PATH {path} cannot be written ({error.strerror}): change it, or its folder's rights.")


class KeyFile:
    """The file of the key of a log in use. A look costs one system call while nothing changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, ...] | None = None
        self._key: VerifierKey | None = None

    def holds(self, key: VerifierKey) -> bool:
        """Whether the file still holds the key that *key* verifies, and nobody else can read it."""
        try:
            found = self._path.stat()
            stamp = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
            if not stat.S_ISREG(found.st_mode):  # to read a pipe could wait for a writer
                return False
            if stamp != self._stamp:
                self._stamp, self._key = stamp, None
                self._key = load_signer(self._path).verifier_key
        except (OSError, ConfigError):
            return False
        return self._key is not None and self._key.text() == key.text()
