"""From the place of the log to the audit log, its signer and its signing loop.

Light: the notary process needs this module and nothing else of the service.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

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
from ..audit.storage.postgres.place import LedgerPlace
from ..audit.storage.store import AuditStore, TextStore
from ..security.security_log import SecurityLog
from .log_files import LogPlace

ERRORS = frozenset({"audit_closed", "long_texts_not_kept"})
"""Changes of the log that an operator must look at; the others are good news."""


def open_store(place: LogPlace, health: LogHealth | None = None, meter: StorageMeter | None = None) -> AuditStore:
    """Where the records are; opens no file and no connection yet.

    *health*: of the running service whose process this is. A write is refused while the log is not
    what was signed, and once a newer service of this node's name has begun.
    """
    if place.ledger is not None:
        return _ledger(place.ledger, health, meter)
    sound = {} if health is None else {"verify_sound": health.verify_sound}
    return JsonlStore(place.audit_log_path, **sound, meter=meter)


def open_texts(place: LogPlace) -> TextStore:
    """Where texts that are too long for a record are kept; opens nothing yet."""
    if place.ledger is None:
        return LongTexts.beside(place.audit_log_path)
    from ..audit.storage.postgres.texts import PostgresTexts  # late: its driver is an extra

    return PostgresTexts(place.ledger)


def _ledger(place: LedgerPlace, health: LogHealth | None, meter: StorageMeter | None) -> AuditStore:
    from ..audit.storage.postgres.store import PostgresStore  # late: its driver is an extra

    if health is None:
        return PostgresStore(place, meter=meter)
    return PostgresStore(replace(place, incarnation=health.incarnation), health.verify_sound, meter)


def open_audit(
    place: LogPlace,
    events: SecurityLog | None = None,
    on_closed: Callable[[bool], None] = lambda is_closed: None,
    *,
    keeps_texts: bool = False,
    health: LogHealth | None = None,
    meter: StorageMeter | None = None,
) -> AuditLog:
    """The audit log at its place; opens nothing yet.

    *on_closed* is called with True when the log starts to refuse records, and with False when it
    accepts them again. *keeps_texts*: texts too long for a record are kept whole beside the log.
    *health*: as `open_store`.
    """

    def on_change(event: str, detail: str) -> None:
        is_closed = event == "audit_closed"
        if is_closed or event == "audit_resumed":
            on_closed(is_closed)
        if events is not None:
            events.event(event, level="ERROR" if event in ERRORS else "INFO", detail=detail)

    store, texts = open_store(place, health, meter), open_texts(place) if keeps_texts else None
    node = "" if place.ledger is None else place.ledger.node
    return AuditLog(store, on_change=on_change, long_texts=texts, meter=meter, node=node)


def signed_note(place: LogPlace) -> bytes | None:
    """The signed checkpoint of the log, unverified. None: nothing was signed yet."""
    if place.ledger is None:
        return StoredTree.beside(place.audit_log_path).checkpoint()
    from ..audit.storage.postgres.signed_head import PostgresSignedHead  # late: its driver is an extra

    with closing(PostgresSignedHead(place.ledger)) as head:
        return head.latest()


def is_served(place: LogPlace) -> bool:
    """Whether a service of any node signs the log in the database now."""
    if place.ledger is None:
        return False
    from ..audit.storage.postgres.signed_head import PostgresSignedHead  # late: its driver is an extra

    with closing(PostgresSignedHead(place.ledger)) as head:
        return not head.lead()


def open_checkpoint_signer(
    place: LogPlace, moved: Callable[[], None] = lambda: None, *, is_notary: bool = False
) -> CheckpointSigner:
    """*moved* is called now and then during work that may take minutes.

    *is_notary*: it may sign a log that several nodes share, too.

    Raises FileNotFoundError where there is no log key, ConfigError for an unusable one.
    """
    store, tree = open_store(place), StoredTree.beside(place.audit_log_path)
    key = load_signer(place.audit_key_path)
    if place.ledger is None:
        return CheckpointSigner(store, tree, key, moved)
    from ..audit.evidence.node_signer import NodeSigner, NotarySigner  # late: most logs need neither
    from ..audit.storage.postgres.signed_head import PostgresSignedHead  # late: its driver is an extra

    return (NotarySigner if is_notary else NodeSigner)(store, tree, key, PostgresSignedHead(place.ledger), moved)


def open_signing_loop(place: LogPlace, events: SecurityLog, health: LogHealth) -> SigningLoop:
    """Signs checkpoints and watches the log while the service runs; *health* gets what it finds.

    Raises as `open_checkpoint_signer`.
    """

    def on_change(event: str, level: str, detail: str) -> None:
        events.event(event, level=level, detail=detail)

    store, tree = open_store(place), StoredTree.beside(place.audit_log_path)
    signer = open_checkpoint_signer(place, health.beat, is_notary=True)
    rate = place.audit_recheck_bytes_per_second
    key_file = KeyFile(place.audit_key_path)
    wall, verify_place = (time.time, _is_safe) if place.ledger is None else _server(place.ledger)
    watch = LogWatch(store, tree, signer, key_file, health, on_change, bytes_per_second=rate, verify_place=verify_place)
    return SigningLoop(store, signer, on_change, watch=watch, health=health, wall=wall)


def _is_safe() -> None:
    """A file system was looked at once, at the start."""


def _server(place: LedgerPlace) -> tuple[Callable[[], float], Callable[[], None]]:
    """Its clock, and what raises EvidenceUnavailable while it may not keep the ledger."""
    from ..audit.storage.postgres.reader import Reader  # late: its driver is an extra
    from ..audit.storage.postgres.server_checks import ServerWatch  # late: its driver is an extra

    return Reader(place).now, ServerWatch(place).verify
