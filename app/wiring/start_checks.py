"""What must hold before anything is opened: checked by `serve`, by each worker, and by commands."""

from __future__ import annotations

import logging
from contextlib import closing
from pathlib import Path

from ..audit.evidence.signer import CheckpointSigner
from ..audit.evidence.stored_tree import StoredTree
from ..audit.log import AuditLog
from ..audit.storage.file_system import verify_locks_hold
from ..audit.storage.recovery import NEW_LOG
from ..errors import AuditCorrupt, ConfigError, EvidenceUnavailable
from ..kit.command import command
from ..settings import Settings
from .audit import open_audit, open_checkpoint_signer
from .log_files import imported_name

LOG = logging.getLogger("app.audit")


def verify_start(settings: Settings) -> CheckpointSigner:
    """The signer of the log, once all of this holds. A few reads; nothing is opened or changed.

    (1) File locks work where the log is, (2) the log is there, (3) its key is there and has its
    name. Whether the log is what was signed can be checked only after its recovery.

    Raises ConfigError or AuditCorrupt.
    """
    verify_locks_hold(settings.audit_log_path)
    try:
        verify_setup(settings)
    except EvidenceUnavailable:
        if settings.ledger is None:  # a database that cannot be asked now closes the log, and no more
            raise
    return checked_signer(settings)


def verify_server(settings: Settings) -> None:
    """Raises ConfigError where the server in AUDIT_URL may not keep the log. For a start."""
    for warning in server_warnings(settings):
        LOG.warning("%s", warning)
    if settings.audit_admin_url is not None:
        LOG.warning("AUDIT_ADMIN_URL is set, so the service could rewrite the ledger: set it only for the commands that need it.")


def server_warnings(settings: Settings) -> list[str]:
    """What the operator should change about AUDIT_URL. Raises as `verify_server`."""
    if settings.ledger is None:
        return []
    from ..audit.storage.postgres import server_checks  # late: its driver is an extra

    return server_checks.verify_server(settings.ledger)


def verify_setup(settings: Settings) -> None:
    """Raises ConfigError before `init` has run, AuditCorrupt where the log alone is missing.

    Raises EvidenceUnavailable where a database cannot be asked.
    """
    if settings.ledger is not None:
        if not _has_ledger(settings):
            raise ConfigError(f"The ledger in AUDIT_URL is empty: run {command('init')}.")
        return
    is_there = settings.audit_log_path.exists()
    if is_there and settings.audit_log_path.stat().st_size:
        return
    if imported_name(settings.audit_log_path).exists():
        raise ConfigError(f"The log of {settings.audit_log_path} was moved to a database: set AUDIT_URL, which names it.")
    others = [path for path in (settings.database_path, settings.audit_key_path) if has_file(path)]
    if others:
        state = f"{settings.audit_log_path} is {'empty' if is_there else 'missing'}"
        raise AuditCorrupt(f"The audit log {state}, but {others[0]} is there. Restore it; {NEW_LOG}.")
    raise ConfigError(f"Nothing is set up here yet: run {command('init')}.")


def has_file(path: Path | None) -> bool:
    """Whether it is there; clients on a server have none."""
    return path is not None and path.exists()


def verify_nothing_lost(settings: Settings) -> None:
    """For `init`, where something is there already. Raises as `verify_setup`."""
    if settings.ledger is None:
        verify_setup(settings)
    else:
        _has_ledger(settings)


def _has_ledger(settings: Settings) -> bool:
    """Whether the log was begun there. Raises ConfigError, AuditCorrupt if another was seen."""
    with closing(open_audit(settings)) as audit:
        if not audit.is_empty():
            return True
    log, seen = settings.audit_log_path, StoredTree.beside(settings.audit_log_path).folder / "checkpoint"
    if log.exists() or imported_name(log).exists():
        raise ConfigError(
            f"The ledger in AUDIT_URL is empty, and the log of {log} is there: {command('audit import')} moves it there."
        )
    if seen.exists():
        raise AuditCorrupt(f"The ledger in AUDIT_URL is empty, but {seen} is there: restore the database; {NEW_LOG}.")
    return False


def checked_signer(settings: Settings) -> CheckpointSigner:
    """The signer of a log that has its key.

    Raises AuditCorrupt where the key is gone, ConfigError where the log never had one or has
    another name than AUDIT_ORIGIN.
    """
    try:
        signer = open_checkpoint_signer(settings)
    except FileNotFoundError:
        with closing(open_audit(settings)) as audit:
            raise missing_key(settings, audit) or ConfigError(f"This log has no key yet: run {command('init')}.") from None
    name, origin = signer.key.name, settings.audit_origin
    if origin and name != origin and not name.startswith(f"{origin}/"):
        raise ConfigError(f"AUDIT_ORIGIN is {origin}, but this log is called {name}. Set that, or leave AUDIT_ORIGIN out.")
    return signer


def missing_key(settings: Settings, audit: AuditLog) -> AuditCorrupt | None:
    """The error for a log key that is not there; None if the log never had one."""
    if "vkey" not in audit.first_details() and StoredTree.beside(settings.audit_log_path).checkpoint() is None:
        return None
    cure = "Restore it" if settings.ledger is None else "Copy it from another node, or restore it"
    return AuditCorrupt(f"The log key {settings.audit_key_path} is missing, and this log is signed with it. {cure}; {NEW_LOG}.")
