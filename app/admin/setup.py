"""What `init` makes, each part only if it is missing: `.env`, the database, the audit log and its key.

The log comes before the database, and its key takes its name last: a database, or a key, without a log is what a vanished
log looks like. Whoever dies in between leaves what the next `init` finishes.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .. import __version__
from ..audit.evidence.log_key import load_signer, store_signer, take_name
from ..audit.evidence.stored_tree import StoredTree
from ..audit.format.note import Signer, verify_checkpoint
from ..audit.format.record import Receipt
from ..audit.log import AuditLog
from ..audit.storage.file_system import verify_locks_hold
from ..errors import AuditCorrupt, ConfigError, VerificationFailed
from ..serving.running import is_served
from ..settings import Settings, load_settings
from ..wiring.audit import database_path, missing_key, open_audit, open_checkpoint_signer, verify_setup

ENV_FILE = Path(".env")


@dataclass(frozen=True, slots=True)
class SetupResult:
    """What was made just now. *opened* is the first record of a new log."""

    env_file: Path | None
    database: Path | None
    log_key: Path | None
    opened: Receipt | None


def initialise(*, new_log: bool = False) -> tuple[Settings, SetupResult]:
    """Make what is missing in the current folder; safe to repeat. *new_log*: set the present log aside, begin another.

    Raises ConfigError, and AuditCorrupt where a log went missing and *new_log* is not asked for.
    """
    env_file = _write_env() if not ENV_FILE.exists() and not os.environ.get("SECRET_KEY") else None
    settings = load_settings()
    verify_locks_hold(settings.audit_log_path)
    if not settings.audit_origin and ENV_FILE.exists():
        _append_origin(_name_of_key(settings.audit_key_path) or _new_origin())
        settings = load_settings()
    from ..security.clients.store import create_or_upgrade_database

    if new_log and is_served(settings.audit_log_path):
        raise ConfigError("A service is running on this log. Stop it first: it would sign the new log with the old key.")
    with _alone(settings.audit_log_path.parent):
        if not new_log and (database_path(settings).exists() or settings.audit_key_path.exists()):
            verify_setup(settings)
        opened, log_key = _begin_log(settings, new_log=new_log)
        _sign_birth(settings, is_new=log_key is not None)
        created = create_or_upgrade_database(settings.database_url)
    return settings, SetupResult(env_file, database_path(settings) if created else None, log_key, opened)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One init at a time. The lock is on the folder itself: nothing is left behind."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(f"AUDIT_LOG_PATH is in {folder}, which cannot be used: {error.strerror}.") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _begin_log(settings: Settings, *, new_log: bool) -> tuple[Receipt | None, Path | None]:
    """The first record of the log, and the path of its key, each if it was made now."""
    audit = open_audit(settings)
    opened = None
    try:
        if new_log and (audit.exists() or database_path(settings).exists()):
            _finish(settings, audit)  # a key that waits for the present log must not become the next one's
            opened = audit.begin_another(_opening(_waiting_key(settings, is_first=False)))
        elif audit.is_empty():
            try:
                opened = audit.create(_opening(_waiting_key(settings, is_first=True)))
            except AuditCorrupt:  # there was a log, and this says what is wrong with it
                audit.recover()
        else:
            audit.recover()
        return opened, _settle_key(settings, audit)
    finally:
        audit.close()


# --- the log key ---------------------------------------------------------------------------------


def _opening(signer: Signer) -> dict[str, Any]:
    """What the first record says: the log's name, and the key that signs it, so that neither can be exchanged later."""
    software = f"secure-ai-assistant {__version__}"
    return {"origin": signer.name, "vkey": signer.verifier_key.text(), "software": software}


def _waiting_key(settings: Settings, *, is_first: bool) -> Signer:
    """The key of the log that is about to begin, durable under a name that is not its own yet."""
    waiting = _waiting(settings)
    with suppress(FileNotFoundError):
        return load_signer(waiting)  # of an init that was cut short
    name = settings.audit_origin or _new_origin()
    if not is_first and settings.audit_origin:
        name += f"/{secrets.token_hex(4)}"  # a log of that name was signed already, and no name ever has two trees
    store_signer(waiting, Signer.generate(name))
    return load_signer(waiting)


def _name_of_key(path: Path) -> str | None:
    try:
        return load_signer(path).name
    except (FileNotFoundError, ConfigError):
        return None


def _settle_key(settings: Settings, audit: AuditLog) -> Path | None:
    """Give the log its key, and set another log's key and tree aside; the key's path if it is new there."""
    path = settings.audit_key_path
    if _finish(settings, audit):
        return path
    if path.exists():
        return None
    if (problem := missing_key(settings, audit)) is not None:
        raise problem
    with suppress(FileExistsError):  # a log from before logs were signed
        store_signer(path, Signer.generate(settings.audit_origin or _new_origin()))
    return path


def _finish(settings: Settings, audit: AuditLog) -> bool:
    """Give the log the key that waits for it, whether one did. None waits any more."""
    waiting = _waiting(settings)
    if not waiting.exists():
        return False
    signer = load_signer(waiting)
    details = audit.first_details() if audit.exists() else {}
    if details.get("vkey") != signer.verifier_key.text():
        waiting.unlink()  # of a log that was never begun
        return False
    _set_aside(settings, signer, details)
    take_name(waiting, settings.audit_key_path)
    return True


def _set_aside(settings: Settings, signer: Signer, details: dict[str, Any]) -> None:
    """Keep the old key and tree beside the old log, by its name."""
    kept_as = (details.get("previous") or {}).get("kept_as")
    log = settings.audit_log_path.resolve()
    if kept_as is None:  # perhaps an init was cut short after it had set the log itself aside
        left = sorted(log.parent.glob(f"{log.stem}.retired.*{log.suffix}"))
        left = [path for path in left if not path.with_suffix(".key").exists()]
        kept_as = left[-1].name if left else f"{log.stem}.retired.{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}{log.suffix}"
    old = log.with_name(kept_as)
    tree = StoredTree.beside(log)
    note = tree.checkpoint()
    try:
        is_foreign = note is not None and not verify_checkpoint(note, signer.verifier_key)
    except VerificationFailed:
        is_foreign = True
    if is_foreign:
        os.rename(tree.folder, old.with_suffix(".tree"))
    if settings.audit_key_path.exists():
        os.rename(settings.audit_key_path, old.with_suffix(".key"))


def _sign_birth(settings: Settings, *, is_new: bool) -> None:
    """The first head, so that a log without one is a log that lost it. Over one record there is only one head to sign."""
    if StoredTree.beside(settings.audit_log_path).checkpoint() is not None:
        return
    checkpoint_signer = open_checkpoint_signer(settings)
    if is_new or open_audit(settings).has_one_record():
        checkpoint_signer.publish_next()
    else:
        checkpoint_signer.verify_start()


def _waiting(settings: Settings) -> Path:
    return settings.audit_key_path.with_name(settings.audit_key_path.name + ".new")


# --- .env ----------------------------------------------------------------------------------------


def _new_origin() -> str:
    return f"secure-ai-assistant/{secrets.token_hex(4)}"


def _append_origin(name: str) -> None:
    """Name the log in a `.env` that somebody wrote by hand. A file that cannot be written is left alone."""
    with suppress(OSError), ENV_FILE.open("r+b") as file:
        text = file.read()
        file.write(b"" if not text or text.endswith(b"\n") else b"\n")
        file.write(f"AUDIT_ORIGIN={name}\n".encode())


def _write_env() -> Path:
    text = (
        "# Written by python -m app init. Every setting is explained in .env.example.\n"
        f"SECRET_KEY={secrets.token_urlsafe(32)}\n"
        f"AUDIT_ORIGIN={_new_origin()}\n"
    )
    try:
        fd = os.open(ENV_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        pass  # another init was faster: its secret counts
    except OSError as error:
        raise ConfigError(
            f".env cannot be written here ({error.strerror}): set SECRET_KEY in the environment, or change the folder."
        ) from error
    return ENV_FILE
