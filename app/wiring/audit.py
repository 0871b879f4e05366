"""From settings to the audit log and its signer: light, for the process that signs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..audit.evidence.log_key import load_signer
from ..audit.evidence.signer import CheckpointSigner
from ..audit.evidence.signing_loop import SigningLoop
from ..audit.evidence.stored_tree import StoredTree
from ..audit.log import AuditLog
from ..audit.storage.jsonl import JsonlStore
from ..audit.storage.long_texts import LongTexts
from ..audit.storage.recovery import NEW_LOG
from ..errors import AuditCorrupt, ConfigError
from ..security.security_log import SecurityLog
from ..settings import Settings

TROUBLE = frozenset({"audit_closed", "long_texts_not_kept"})


class LogPlace(Protocol):
    """Where the log and what belongs to it are. Settings say it."""

    @property
    def audit_log_path(self) -> Path: ...

    @property
    def audit_key_path(self) -> Path: ...

    @property
    def security_log_path(self) -> Path: ...


@dataclass(frozen=True, slots=True)
class LogFiles:
    """A LogPlace without the other settings, for a process that should not hold them."""

    audit_log_path: Path
    audit_key_path: Path
    security_log_path: Path


def open_audit(
    settings: LogPlace,
    events: SecurityLog | None = None,
    on_closed: Callable[[bool], None] = lambda is_closed: None,
    *,
    keeps_texts: bool = False,
) -> AuditLog:
    """The audit log at its path; opens no file yet. *on_closed* is told when it refuses records, and when no more.

    *keeps_texts*: what is too long for a record is kept whole beside it.
    """

    def on_change(event: str, detail: str) -> None:
        is_closed = event == "audit_closed"
        if is_closed or event == "audit_resumed":
            on_closed(is_closed)
        if events is not None:
            events.event(event, level="ERROR" if event in TROUBLE else "INFO", detail=detail)

    texts = LongTexts.beside(settings.audit_log_path) if keeps_texts else None
    return AuditLog(JsonlStore(settings.audit_log_path), on_change=on_change, long_texts=texts)


def open_checkpoint_signer(place: LogPlace) -> CheckpointSigner:
    """Raises ConfigError where there is no log key, or one that cannot be used."""
    return CheckpointSigner(
        JsonlStore(place.audit_log_path), StoredTree.beside(place.audit_log_path), load_signer(place.audit_key_path)
    )


def open_signing_loop(place: LogPlace, events: SecurityLog) -> SigningLoop:
    """What signs the log's head while the service runs. Raises ConfigError."""

    def tell(event: str, level: str, detail: str) -> None:
        events.event(event, level=level, detail=detail)

    return SigningLoop(JsonlStore(place.audit_log_path), open_checkpoint_signer(place), tell)


def verify_setup(settings: Settings) -> None:
    """The log must be there, unless nothing is. Raises ConfigError before init, AuditCorrupt where the log went missing."""
    there = settings.audit_log_path.exists()
    if there and settings.audit_log_path.stat().st_size:
        return
    witnesses = [path for path in (database_path(settings), settings.audit_key_path) if path.exists()]
    if witnesses:
        log = f"{settings.audit_log_path} is {'empty' if there else 'missing'}"
        raise AuditCorrupt(f"The audit log {log}, but {witnesses[0]} is there. Restore it; {NEW_LOG}.")
    raise ConfigError("Nothing is set up here yet: run python -m app init.")


def missing_key(settings: Settings, audit: AuditLog) -> AuditCorrupt | None:
    """What to say of a log key that is not there: nothing if the log never had one."""
    if "vkey" not in audit.first_details() and StoredTree.beside(settings.audit_log_path).checkpoint() is None:
        return None
    return AuditCorrupt(
        f"The log key {settings.audit_key_path} is missing, and this log is signed with it. Restore it; {NEW_LOG}."
    )


def checkpoint_signer_of(settings: Settings) -> CheckpointSigner:
    """The notary of a log that has its key. Raises ConfigError or AuditCorrupt where it has not, or another name."""
    try:
        checkpoint_signer = open_checkpoint_signer(settings)
    except FileNotFoundError:
        problem = missing_key(settings, open_audit(settings))
        raise problem or ConfigError("This log has no key yet that signs it: run python -m app init.") from None
    name, origin = checkpoint_signer.key.name, settings.audit_origin
    if origin and name != origin and not name.startswith(f"{origin}/"):
        raise ConfigError(f"AUDIT_ORIGIN is {origin}, but this log is called {name}. Set that, or leave AUDIT_ORIGIN out.")
    return checkpoint_signer


def database_path(settings: Settings) -> Path:
    """The file behind DATABASE_URL. Raises ConfigError for what is not a file."""
    from ..security.clients.database import database_path as path_of

    return path_of(settings.database_url)
