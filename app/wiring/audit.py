"""From the place of the log to the audit log, its signer and its signing loop.

Light: the notary process needs this module and nothing else of the service.
"""

from __future__ import annotations

from collections.abc import Callable

from ..audit.evidence.health import LogHealth
from ..audit.evidence.log_key import KeyFile, load_signer
from ..audit.evidence.log_watch import LogWatch
from ..audit.evidence.signer import CheckpointSigner
from ..audit.evidence.signing_loop import SigningLoop
from ..audit.evidence.stored_tree import StoredTree
from ..audit.log import AuditLog
from ..audit.storage.jsonl import JsonlStore
from ..audit.storage.long_texts import LongTexts
from ..audit.storage.meter import StorageMeter
from ..security.security_log import SecurityLog
from .log_files import LogPlace

ERRORS = frozenset({"audit_closed", "long_texts_not_kept"})
"""Changes of the log that an operator must look at; the others are good news."""


def open_audit(
    place: LogPlace,
    events: SecurityLog | None = None,
    on_closed: Callable[[bool], None] = lambda is_closed: None,
    *,
    keeps_texts: bool = False,
    verify_sound: Callable[[], None] = lambda: None,
    meter: StorageMeter | None = None,
) -> AuditLog:
    """The audit log at its path; opens no file yet.

    *on_closed* is called with True when the log starts to refuse records, and with False when it
    accepts them again. *keeps_texts*: texts too long for a record are kept whole beside the log.
    *verify_sound* is called before each write, and may refuse it with AuditCorrupt.
    """

    def on_change(event: str, detail: str) -> None:
        is_closed = event == "audit_closed"
        if is_closed or event == "audit_resumed":
            on_closed(is_closed)
        if events is not None:
            events.event(event, level="ERROR" if event in ERRORS else "INFO", detail=detail)

    texts = LongTexts.beside(place.audit_log_path) if keeps_texts else None
    store = JsonlStore(place.audit_log_path, verify_sound, meter)
    return AuditLog(store, on_change=on_change, long_texts=texts, meter=meter)


def signed_note(place: LogPlace) -> bytes | None:
    """The signed checkpoint of the log, unverified. None: nothing was signed yet."""
    return StoredTree.beside(place.audit_log_path).checkpoint()


def open_checkpoint_signer(place: LogPlace, moved: Callable[[], None] = lambda: None) -> CheckpointSigner:
    """*moved* is called now and then during work that may take minutes.

    Raises FileNotFoundError where there is no log key, ConfigError for an unusable one.
    """
    store, tree = JsonlStore(place.audit_log_path), StoredTree.beside(place.audit_log_path)
    return CheckpointSigner(store, tree, load_signer(place.audit_key_path), moved)


def open_signing_loop(place: LogPlace, events: SecurityLog, health: LogHealth) -> SigningLoop:
    """Signs checkpoints and watches the log while the service runs; *health* gets what it finds.

    Raises as `open_checkpoint_signer`.
    """

    def on_change(event: str, level: str, detail: str) -> None:
        events.event(event, level=level, detail=detail)

    store, tree = JsonlStore(place.audit_log_path), StoredTree.beside(place.audit_log_path)
    signer = open_checkpoint_signer(place, health.beat)
    rate = place.audit_recheck_bytes_per_second
    key_file = KeyFile(place.audit_key_path)
    watch = LogWatch(store, tree, signer, key_file, health, on_change, bytes_per_second=rate)
    return SigningLoop(store, signer, on_change, watch=watch, health=health)
