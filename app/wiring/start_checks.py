"""What must hold before anything is opened: checked by `serve`, by each worker, and by commands."""

from __future__ import annotations

from pathlib import Path

from ..audit.evidence.signer import CheckpointSigner
from ..audit.evidence.stored_tree import StoredTree
from ..audit.log import AuditLog
from ..audit.storage.file_system import verify_locks_hold
from ..audit.storage.recovery import NEW_LOG
from ..errors import AuditCorrupt, ConfigError
from ..kit.command import command
from ..settings import Settings
from .audit import open_audit, open_checkpoint_signer


def verify_start(settings: Settings) -> CheckpointSigner:
    """The signer of the log, once all of this holds. A few reads; nothing is opened or changed.

    (1) File locks work where the log is, (2) the log is there, (3) its key is there and has its
    name. Whether the log is what was signed can be checked only after its recovery.

    Raises ConfigError or AuditCorrupt.
    """
    verify_locks_hold(settings.audit_log_path)
    verify_setup(settings)
    return checked_signer(settings)


def verify_setup(settings: Settings) -> None:
    """Raises ConfigError before `init` has run, AuditCorrupt where the log alone is missing."""
    is_there = settings.audit_log_path.exists()
    if is_there and settings.audit_log_path.stat().st_size:
        return
    others = [path for path in (settings.database_path, settings.audit_key_path) if has_file(path)]
    if others:
        state = f"{settings.audit_log_path} is {'empty' if is_there else 'missing'}"
        raise AuditCorrupt(f"The audit log {state}, but {others[0]} is there. Restore it; {NEW_LOG}.")
    raise ConfigError(f"Nothing is set up here yet: run {command('init')}.")


def has_file(path: Path | None) -> bool:
    """Whether it is there; clients on a server have none."""
    return path is not None and path.exists()


def checked_signer(settings: Settings) -> CheckpointSigner:
    """The signer of a log that has its key.

    Raises AuditCorrupt where the key is gone, ConfigError where the log never had one or has
    another name than AUDIT_ORIGIN.
    """
    try:
        signer = open_checkpoint_signer(settings)
    except FileNotFoundError:
        raise missing_key(settings, open_audit(settings)) or ConfigError(
            f"This log has no key yet: run {command('init')}."
        ) from None
    name, origin = signer.key.name, settings.audit_origin
    if origin and name != origin and not name.startswith(f"{origin}/"):
        raise ConfigError(f"AUDIT_ORIGIN is {origin}, but this log is called {name}. Set that, or leave AUDIT_ORIGIN out.")
    return signer


def missing_key(settings: Settings, audit: AuditLog) -> AuditCorrupt | None:
    """The error for a log key that is not there; None if the log never had one."""
    if "vkey" not in audit.first_details() and StoredTree.beside(settings.audit_log_path).checkpoint() is None:
        return None
    return AuditCorrupt(
        f"The log key {settings.audit_key_path} is missing, and this log is signed with it. Restore it; {NEW_LOG}."
    )
