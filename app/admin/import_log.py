"""Moves the log of one machine into an empty ledger: the same lines, key and signed head.

(1) The file gets another name, so no process adds to it any more.
(2) All of it is verified, also against its signed checkpoint.
(3) Long texts, then lines, are written to the database; then the checkpoint.
(4) `log.imported` is recorded, as the record that follows the last one of the file.

If it is killed, run it again: each step finds what the one before has done.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ..audit.evidence.log_key import load_signer
from ..audit.evidence.published import PublishedCheckpoint, SignedCheckpoint
from ..audit.evidence.signed_log import SignedLog
from ..audit.evidence.stored_tree import StoredTree
from ..audit.format.record import MAX_LINE_BYTES, LogEnd, Receipt, draft, hash_of, seq_of, split_lines
from ..audit.storage.append import append
from ..audit.storage.jsonl import JsonlStore
from ..audit.storage.long_texts import LongTexts
from ..audit.storage.postgres.place import LedgerPlace
from ..audit.storage.running import is_running
from ..errors import AuditCorrupt, ConfigError
from ..kit.durable_files import sync_folder
from ..settings import Settings, load_settings
from ..wiring.audit import open_store
from ..wiring.log_files import imported_name
from ..wiring.start_checks import server_warnings

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Imported:
    records: int
    size: int
    file: Path
    """What the log of this machine is called now. Nothing reads it any more."""
    receipt: Receipt | None
    """Of `log.imported`. None: it was recorded before."""


def import_log(progress: Progress = lambda done, total: None) -> Imported:
    """*progress* is called with the bytes written so far and their total.

    Raises ConfigError, AuditCorrupt for a log that is not what was signed, AuditUnavailable.
    """
    settings = load_settings()
    if settings.ledger is None:
        raise ConfigError("AUDIT_URL is not set: it names the database that takes the log of AUDIT_LOG_PATH.")
    if settings.ledger.admin_url is None:
        raise ConfigError("Set AUDIT_ADMIN_URL for this command: the service's own role may only append.")
    server_warnings(settings)
    if is_running(settings.audit_log_path):
        raise ConfigError("A service is running on this log. Stop it first.")
    file = _closed(settings.audit_log_path.resolve())
    with closing(JsonlStore(file)) as store:
        signed, end = _verified(settings, store)
        _keep_texts(settings.audit_log_path, settings.ledger)
        _copy(settings.ledger, store, end, progress)
    _share(settings.ledger, signed)
    receipt = _record(settings, file, end)
    file.chmod(0o400)
    return Imported(end.seq + 1, end.size, file, receipt)


def _closed(log: Path) -> Path:
    """(1) The log under the name that nothing adds to."""
    closed = imported_name(log)
    if log.exists() and closed.exists():
        raise ConfigError(f"{log} and {closed} are both there: move the one away that is not to be imported.")
    if log.exists():
        os.rename(log, closed)
        sync_folder(log.parent)
    if not closed.exists():
        raise ConfigError(f"There is no log at {log}: name it in AUDIT_LOG_PATH.")
    return closed


def _verified(settings: Settings, store: JsonlStore) -> tuple[SignedCheckpoint, LogEnd]:
    """(2) The signed checkpoint and the end of the log, all of which was read."""
    tree, key = StoredTree.beside(settings.audit_log_path), load_signer(settings.audit_key_path).verifier_key
    signed = PublishedCheckpoint(tree, key).current()
    if signed is None:
        raise AuditCorrupt(f"The signed checkpoint {tree.folder / 'checkpoint'} is missing: restore it.")
    size = store.size()
    last = deque(split_lines(store.chunks(size, max(0, size - 2 * MAX_LINE_BYTES))), maxlen=1).pop()
    seq, digest = seq_of(last), hash_of(last)
    if seq is None or digest is None or not last.endswith(b"\n"):
        raise AuditCorrupt(
            "The log ends in half a record, as after a crash: start the service on the file once, which records it."
        )
    end = LogEnd(size, seq, digest)
    SignedLog(store, tree, key).verify_whole(signed.checkpoint, end)
    return signed, end


def _keep_texts(log: Path, ledger: LedgerPlace) -> None:
    """(3) All long texts that are beside the log."""
    from ..audit.storage.postgres.texts import PostgresTexts  # late: its driver is an extra

    with closing(PostgresTexts(ledger)) as texts:
        for path in sorted(LongTexts.beside(log).folder.glob("??/*")):
            texts.keep({path.name: path.read_bytes()})


def _copy(ledger: LedgerPlace, store: JsonlStore, end: LogEnd, progress: Progress) -> None:
    from ..audit.storage.postgres.import_lines import import_lines  # late: its driver is an extra

    def lines() -> Iterator[bytes]:
        done = 0
        for line in split_lines(store.chunks(end.size)):
            yield line
            done += len(line)
            progress(done, end.size)

    import_lines(ledger, lines(), end)


def _share(ledger: LedgerPlace, signed: SignedCheckpoint) -> None:
    from ..audit.storage.postgres.signed_head import PostgresSignedHead  # late: its driver is an extra

    with closing(PostgresSignedHead(ledger)) as head:
        if head.latest() is None:
            if not head.lead():
                raise ConfigError("A service uses the ledger in AUDIT_URL. Stop it first.")
            head.replace(None, signed.note)


def _record(settings: Settings, file: Path, end: LogEnd) -> Receipt | None:
    """(4)"""
    details = {"records": end.seq + 1, "size": end.size, "hash": end.hash, "file": file.name, "by": "operator"}
    with closing(open_store(settings)) as store:
        made = append(store.append, [draft("log.imported", None, details)], after=end.seq)
    return made[0] if made else None
