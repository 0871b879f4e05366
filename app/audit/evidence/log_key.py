"""The log key as a file: an Ed25519 signer in the form of Go's sumdb/note, readable by the service only."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from ...errors import ConfigError, VerificationFailed
from ...kit.durable_files import sync_folder, write_file
from ..format.note import Signer


def load_signer(path: Path) -> Signer:
    """Raises ConfigError with a sentence that says what to do; FileNotFoundError where there is none."""
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
    """Durable on return, under a name that is not there yet. Raises FileExistsError, ConfigError.

    Written under another name first, so that who dies in between leaves no half a key under this one.
    """
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(draft, iter((f"{signer.text()}\n".encode(),)))
        is_taken = False
        try:
            os.link(draft, path)
        except FileExistsError:
            is_taken = True
        finally:
            draft.unlink()
        sync_folder(path.parent)
    except OSError as error:
        raise _cannot_be_written(path, error) from error
    if is_taken:
        raise FileExistsError(path)


def take_name(new: Path, path: Path) -> None:
    """Give the key *new* the name *path*; durable on return. Another may have done it already."""
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
