"""A receipt as a file (C2SP tlog-proof): the record, its inclusion proof, the signed checkpoint."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from ...errors import VerificationFailed
from ...kit.base64 import decode_base64
from .merkle import HASH_BYTES, MAX_SIZE, leaf_hash
from .merkle_checks import MAX_PROOF_HASHES, verify_inclusion
from .note import MAX_NOTE_BYTES, NUMBER, Checkpoint, VerifierKey, verify_checkpoint
from .record import MAX_LINE_BYTES, computed_hash, hash_of, seq_of

HEADER = "c2sp.org/tlog-proof@v1"
MAX_PROOF_BYTES = MAX_NOTE_BYTES + 2 * MAX_LINE_BYTES


@dataclass(frozen=True, slots=True)
class Proof:
    """The content of a tlog-proof, unverified.

    *extra*: in our receipts, the record's line without its newline.
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None

    def encode(self) -> bytes:
        lines = [HEADER]
        if self.extra is not None:
            lines.append("extra " + base64.b64encode(self.extra).decode())
        lines.append(f"index {self.index}")
        lines += [base64.b64encode(one).decode() for one in self.hashes]
        return "".join(f"{line}\n" for line in (*lines, "")).encode() + self.checkpoint

    @classmethod
    def parse(cls, data: bytes) -> Proof:
        """Accepts exactly what `encode` gives. Raises VerificationFailed for anything else."""
        if len(data) > MAX_PROOF_BYTES:
            _refuse("it is too long")
        head, blank, checkpoint = data.partition(b"\n\n")
        try:
            first, *lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError:
            _refuse("it is not text")
        if first != HEADER or not blank or not checkpoint:
            _refuse(f"it is not {HEADER}, an index, hashes, an empty line and a checkpoint")
        extra = _decoded(lines.pop(0)[6:]) if lines and lines[0].startswith("extra ") else None
        word, _, number = lines.pop(0).partition(" ") if lines else ("", "", "")
        if word != "index" or not NUMBER.fullmatch(number) or int(number) > MAX_SIZE:
            _refuse("it has no index")
        hashes = tuple(_decoded(line) for line in lines)
        if len(hashes) > MAX_PROOF_HASHES or any(len(one) != HASH_BYTES for one in hashes):
            _refuse(f"its hashes are not at most {MAX_PROOF_HASHES} of {HASH_BYTES} bytes")
        return cls(int(number), hashes, checkpoint, extra)


@dataclass(frozen=True, slots=True)
class ProvenRecord:
    """A record that is number *seq* of the log that *checkpoint* covers. *line* has no newline."""

    seq: int
    line: bytes
    checkpoint: Checkpoint


def make_receipt(seq: int, line: bytes, hashes: Sequence[bytes], checkpoint: bytes) -> bytes:
    """The receipt of a stored *line* (without its newline) under a signed *checkpoint*."""
    return Proof(seq, tuple(hashes), checkpoint, line).encode()


def verify_receipt(data: bytes, key: VerifierKey) -> ProvenRecord:
    """Check a receipt by itself, offline. Raises VerificationFailed.

    (1) The form, (2) the signature of the checkpoint, (3) the line is in that tree at that place,
    (4) the line is a record of that number whose hash is right.

    Left to the caller: whether it is the expected record, and whether other checkpoints of this log
    are consistent with this one.
    """
    proof = Proof.parse(data)  # (1)
    checkpoint = verify_checkpoint(proof.checkpoint, key)  # (2)
    line = proof.extra
    if line is None:
        _refuse("it does not hold the record")
    verify_inclusion(proof.index, checkpoint.size, leaf_hash(line), proof.hashes, checkpoint.root)  # (3)
    if seq_of(line) != proof.index or hash_of(line) != computed_hash(line) or b"\n" in line:  # (4)
        raise VerificationFailed(f"Entry {proof.index} of the log is not a record of that number.")
    return ProvenRecord(proof.index, line, checkpoint)


def _decoded(encoded: str) -> bytes:
    try:
        return decode_base64(encoded)
    except ValueError as error:
        _refuse(f"a line is {error}")


def _refuse(reason: str) -> NoReturn:
    raise VerificationFailed(f"This is not a proof as C2SP tlog-proof defines it: {reason}.")
