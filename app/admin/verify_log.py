"""Verify the log of this installation, or one receipt file: opens the files that the verifier needs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..audit.evidence.stored_tree import StoredTree
from ..audit.format.note import MAX_NOTE_BYTES, Signer, VerifierKey
from ..audit.format.receipt import MAX_PROOF_BYTES, ProvenRecord, verify_receipt
from ..audit.format.record import Receipt
from ..audit.log import AuditLog
from ..audit.storage.long_texts import LongTexts
from ..audit.verification.kept_texts import NamedTexts, TextsFound
from ..audit.verification.report import Finding, Report
from ..audit.verification.verifier import (
    ExpectedEvidence,
    KnownHead,
    Verification,
    first_differences,
    in_batches,
    read_head,
)
from ..errors import ConfigError, EvidenceUnavailable, InvalidRequest, VerificationFailed
from ..settings import Settings, load_settings
from ..wiring.audit import open_audit
from ..wiring.start_checks import verify_setup

OWN = "the log's own signed head"
FOREIGN = "the log's first record names another key than the one that is used here"


@dataclass(frozen=True, slots=True)
class Verified:
    report: Report
    key: VerifierKey | None
    """Under which signatures were checked."""
    texts: TextsFound | None
    """Of the long texts that the records that were read name; None where no texts were ever kept: there is no folder."""


def parse_receipt(text: str) -> Receipt:
    """Raises InvalidRequest for anything but SEQ:HASH."""
    match = re.fullmatch(r"([0-9]{1,19}):([0-9a-f]{64})", text)
    if match is None:
        raise InvalidRequest("A receipt is SEQ:HASH: the number of the record, a colon, and 64 hex digits.")
    return Receipt(int(match[1]), match[2])


def verify(
    receipts: Sequence[str] = (),
    checkpoints: Sequence[Path] = (),
    vkey: Path | None = None,
    *,
    progress: Callable[[int, int], None] = lambda read, total: None,
) -> Verified:
    """Check the log. *progress* is called with the bytes read so far and the length of the log.

    Raises OSError for a file that cannot be read, VerificationFailed for a key that is none, AuditUnavailable.
    """
    wanted = [parse_receipt(text) for text in receipts]
    notes = [(str(path), _read(path, MAX_NOTE_BYTES)) for path in checkpoints]
    settings = load_settings()
    verify_setup(settings)
    tree = StoredTree.beside(settings.audit_log_path)
    key = _key(settings, tree, vkey)
    own = tree.checkpoint()  # before the log's length: a log only grows
    log = open_audit(settings)
    held = _held(wanted, notes, own, key)
    if key is not None and log.first_details().get("vkey", key.text()) != key.text():
        held = replace(held, refused=(*held.refused, FOREIGN))
    verification, texts = Verification(held), LongTexts.beside(settings.audit_log_path)
    named = NamedTexts() if texts.folder.is_dir() else None
    size = log.size()
    _run(verification, named, log, size, progress)
    found = named.check(texts) if named else None
    damaged = [_damage(*one) for one in found.damaged] if found else []
    report = verification.finish(lambda heads: _blamed(heads, log, size, tree), damaged)
    return Verified(report, key, found)


def _damage(seq: int, sha256: str) -> Finding:
    return Finding(
        seq, f"the long text {sha256} that the record names was changed: what is kept under that name is something else"
    )


def _run(
    verification: Verification, named: NamedTexts | None, log: AuditLog, end: int, progress: Callable[[int, int], None]
) -> None:
    read = 0
    for lines in in_batches(log.lines(0, end)):
        verification.feed(lines)
        if named is not None:
            named.feed(lines)
        read += sum(map(len, lines))
        progress(read, end)


def _blamed(heads: Sequence[KnownHead], log: AuditLog, end: int, tree: StoredTree) -> Mapping[KnownHead, int]:
    try:
        return first_differences(log.lines(0, end), heads, tree.fetch)
    except EvidenceUnavailable:
        return {}


def verify_receipt_file(file: Path, vkey: Path) -> ProvenRecord:
    """Needs no log and no settings. Raises VerificationFailed, InvalidRequest for a key that is none, OSError."""
    key = _parse_key(vkey)
    return verify_receipt(_read(file, MAX_PROOF_BYTES), key)


# --- what the log is held against ------------------------------------------------------------------


def _held(
    receipts: Sequence[Receipt],
    notes: Sequence[tuple[str, bytes]],
    own: bytes | None,
    key: VerifierKey | None,
) -> ExpectedEvidence:
    heads: list[KnownHead] = []
    refused: list[str] = []
    known = [(name, note, True) for name, note in notes]
    if own is not None and key is not None:  # unsigned, it would show no more than the log itself
        known.append((OWN, own, False))
    for name, note, given in known:
        try:
            heads.append(read_head(name, note, key, given=given))
        except VerificationFailed as error:
            refused.append(f"{name} proves nothing: {error.detail}")
    return ExpectedEvidence(receipts, heads, refused)


def _key(settings: Settings, tree: StoredTree, vkey: Path | None) -> VerifierKey | None:
    """The key that is given, else the log key's public half, else what was kept beside the log."""
    if vkey is not None:
        return _parse_key(vkey)
    try:
        return Signer.parse(settings.audit_key_path.read_text("utf-8")).verifier_key
    except (FileNotFoundError, PermissionError):  # a reader need not be able to sign
        pass
    except ValueError:
        raise ConfigError(f"AUDIT_KEY_PATH {settings.audit_key_path} does not hold a log key: name the right file.") from None
    try:
        return _parse_key(tree.folder / "vkey")
    except FileNotFoundError:
        return None


def _parse_key(path: Path) -> VerifierKey:
    """Raises InvalidRequest for a key that is none: then nothing can be checked."""
    try:
        return VerifierKey.parse(_read(path, MAX_NOTE_BYTES).decode("utf-8", "replace").strip())
    except VerificationFailed as error:
        raise InvalidRequest(f"{path} is not a log's verifier key: name a file that holds what GET /audit/vkey gave.") from error


def _read(path: Path, most: int) -> bytes:
    """A byte more than *most* at most, so that what is too long is seen to be."""
    with path.open("rb") as file:
        return file.read(most + 1)
