"""What a log is checked against besides itself: receipts and checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import VerificationFailed
from ..format.merkle import HASH_BYTES
from ..format.note import Checkpoint, VerifierKey, parse_checkpoint, parse_note, verify_checkpoint
from ..format.record import Receipt


@dataclass(frozen=True, slots=True)
class ExpectedCheckpoint:
    """A checkpoint that the log must agree with: the tree over its first records has that root."""

    name: str
    """For people: the file's name, or which one it is."""
    checkpoint: Checkpoint
    given: bool
    """The caller kept it elsewhere. Otherwise it was found beside the log."""
    signed: bool
    """Its signature was verified under the trusted key."""

    @property
    def size(self) -> int:
        return self.checkpoint.size

    @property
    def root(self) -> bytes:
        return self.checkpoint.root


@dataclass(frozen=True, slots=True)
class ExpectedEvidence:
    receipts: Sequence[Receipt] = ()
    checkpoints: Sequence[ExpectedCheckpoint] = ()
    refused: Sequence[str] = ()
    """One sentence for each checkpoint that proves nothing: which one and why."""


def read_checkpoint(name: str, note: bytes, key: VerifierKey | None, *, given: bool) -> ExpectedCheckpoint:
    """Parse a checkpoint and, with a *key*, verify its signature. Raises VerificationFailed."""
    if key is not None:
        return ExpectedCheckpoint(name, verify_checkpoint(note, key), given, signed=True)
    checkpoint = parse_checkpoint(parse_note(note).text)
    if len(checkpoint.root) != HASH_BYTES or not all(checkpoint.extensions):
        raise VerificationFailed("The checkpoint has a root that is not 32 bytes long, or an empty line.")
    return ExpectedCheckpoint(name, checkpoint, given, signed=False)
