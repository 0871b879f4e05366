"""Verify the log of this installation, or one receipt file."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..audit.evidence.stored_tree import StoredTree
from ..audit.format.note import MAX_NOTE_BYTES, Signer, VerifierKey
from ..audit.format.receipt import MAX_PROOF_BYTES, ProvenRecord, verify_receipt
from ..audit.format.record import Receipt
from ..audit.log import AuditLog
from ..audit.storage.running import is_running
from ..audit.verification.expected import ExpectedCheckpoint, ExpectedEvidence, read_checkpoint
from ..audit.verification.report import Report
from ..audit.verification.verifier import verify_log
from ..errors import ConfigError, InvalidRequest, VerificationFailed
from ..settings import Settings, load_settings
from ..wiring.audit import open_audit, open_texts, signed_note
from ..wiring.start_checks import verify_setup

OWN_CHECKPOINT = "the log's own signed checkpoint"
THIS_NODES_CHECKPOINT = "the signed checkpoint that this node has seen"
TORN_SECONDS = 5.0
"""How long a running service may take to set the torn tail of a killed process aside."""
OTHER_KEY = "the first record of the log names another key than the one that is used here"


@dataclass(frozen=True, slots=True)
class Verified:
    report: Report
    key: VerifierKey | None
    """The key that signatures were checked with; None: there is no key."""


def verify(
    receipts: Sequence[str] = (),
    checkpoints: Sequence[Path] = (),
    vkey: Path | None = None,
    log_file: Path | None = None,
    *,
    progress: Callable[[int, int], None] = lambda read, total: None,
) -> Verified:
    """Verify the log, also against *receipts* (SEQ:HASH) and the files *checkpoints* and *vkey*.

    *log_file*: an exported log, instead of the one of this installation.

    *progress* is called with the bytes read so far and the length of the log. Raises OSError for a
    file that cannot be read, InvalidRequest for a wrong receipt or key, AuditUnavailable.
    """
    wanted = [parse_receipt(text) for text in receipts]
    notes = [(str(path), _read(path, MAX_NOTE_BYTES)) for path in checkpoints]
    settings = load_settings()
    if log_file is not None:
        settings = settings.model_copy(update={"audit_log_path": log_file, "audit_url": None})
    verify_setup(settings)
    tree = StoredTree.beside(settings.audit_log_path)
    key = own_key(settings) if vkey is None else parse_key(vkey)
    own = _own_checkpoints(settings, tree)  # read before the log's length: then the log has all that they cover
    log = open_audit(settings)
    given, refused = _read_checkpoints(notes, own, key)
    if key is not None and _names_another_key(log, key):
        refused.append(OTHER_KEY)
    size, texts = _size(settings, log), open_texts(settings)
    report = verify_log(
        lambda: log.lines(0, size),
        ExpectedEvidence(wanted, given, refused),
        texts=texts if texts.exists() else None,
        fetch_tile=tree.fetch,
        progress=lambda read: progress(read, size),
    )
    return Verified(report, key)


def verify_receipt_file(file: Path, vkey: Path) -> ProvenRecord:
    """Verify one receipt. Needs neither the log nor settings.

    Raises VerificationFailed, InvalidRequest for a wrong key file, OSError.
    """
    key = parse_key(vkey)
    return verify_receipt(_read(file, MAX_PROOF_BYTES), key)


def parse_receipt(text: str) -> Receipt:
    """Raises InvalidRequest for anything but SEQ:HASH."""
    match = re.fullmatch(r"([0-9]{1,19}):([0-9a-f]{64})", text)
    if match is None:
        raise InvalidRequest("A receipt is SEQ:HASH: the number of the record, a colon, and 64 hex digits.")
    return Receipt(int(match[1]), match[2])


def _size(settings: Settings, log: AuditLog) -> int:
    """In bytes, also of what a stranger wrote behind the durable end.

    A running service is given a moment where the last line is unfinished.
    """
    end = time.monotonic() + TORN_SECONDS
    while True:
        size = log.size()
        is_torn = settings.ledger is None and b"".join(log.pieces(size, max(0, size - 1))) not in (b"", b"\n")
        if not is_torn or time.monotonic() > end or not is_running(settings.audit_log_path):
            return size
        time.sleep(TORN_SECONDS / 100)


def _own_checkpoints(settings: Settings, tree: StoredTree) -> list[tuple[str, bytes]]:
    """The one beside the log. Of a log in a database, also the newest that this node has seen."""
    if settings.ledger is None:
        found = {OWN_CHECKPOINT: tree.checkpoint()}
    else:
        found = {THIS_NODES_CHECKPOINT: tree.checkpoint(), OWN_CHECKPOINT: signed_note(settings)}
    return [(name, note) for name, note in found.items() if note is not None]


def _read_checkpoints(
    notes: Sequence[tuple[str, bytes]], own: Sequence[tuple[str, bytes]], key: VerifierKey | None
) -> tuple[list[ExpectedCheckpoint], list[str]]:
    """The checkpoints that can be used, and one sentence for each that proves nothing."""
    known = [(name, note, True) for name, note in notes]
    if key is not None:  # unverified, they would show no more than the log itself
        known += [(name, note, False) for name, note in own]
    checkpoints: list[ExpectedCheckpoint] = []
    refused: list[str] = []
    for name, note, given in known:
        try:
            checkpoints.append(read_checkpoint(name, note, key, given=given))
        except VerificationFailed as error:
            refused.append(f"{name} proves nothing: {error.detail}")
    return checkpoints, refused


def _names_another_key(log: AuditLog, key: VerifierKey) -> bool:
    text = key.text()
    return bool(log.first_details().get("vkey", text) != text)


def own_key(settings: Settings) -> VerifierKey | None:
    """The public half of the log key, else the key beside the log. Raises ConfigError."""
    try:
        return Signer.parse(settings.audit_key_path.read_text("utf-8")).verifier_key
    except (FileNotFoundError, PermissionError):  # an auditor need not be able to sign
        pass
    except ValueError:
        raise ConfigError(f"AUDIT_KEY_PATH {settings.audit_key_path} does not hold a log key: name the right file.") from None
    try:
        return parse_key(StoredTree.beside(settings.audit_log_path).folder / "vkey")
    except FileNotFoundError:
        return None


def parse_key(path: Path) -> VerifierKey:
    """Raises InvalidRequest for a file that holds no verifier key, OSError."""
    try:
        return VerifierKey.parse(_read(path, MAX_NOTE_BYTES).decode("utf-8", "replace").strip())
    except VerificationFailed as error:
        raise InvalidRequest(f"{path} does not hold a log's verifier key: name a file with what GET /audit/vkey gave.") from error


def _read(path: Path, max_bytes: int) -> bytes:
    """Of a longer file one byte more than *max_bytes*: then the parser refuses it as too long."""
    with path.open("rb") as file:
        return file.read(max_bytes + 1)
