"""The published checkpoint: read, verified, and never one that contradicts another."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import AuditCorrupt, VerificationFailed
from ..format.note import Checkpoint, VerifierKey, verify_checkpoint
from .leaves import RESTORE
from .proofs import has_root, verify_growth
from .stored_tree import StoredTree


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint whose signature was verified: the bytes that are served, and their content."""

    note: bytes
    checkpoint: Checkpoint

    @property
    def size(self) -> int:
        return self.checkpoint.size


class PublishedCheckpoint:
    """Blocks. Remembers the last checkpoint that was seen; each later one must continue it."""

    def __init__(self, tree: StoredTree, key: VerifierKey) -> None:
        self._tree, self._key = tree, key
        self._seen: SignedCheckpoint | None = None

    def current(self) -> SignedCheckpoint | None:
        """The checkpoint that is served now. None: nothing was signed yet.

        Raises AuditCorrupt if it is not signed by our key or contradicts one that was seen, and
        EvidenceUnavailable if it cannot be read or proven now.
        """
        seen = self._seen  # read it before the file: another thread may publish in between
        latest = self._latest()
        if seen is not None and latest is not seen:
            self._verify_continues(seen, latest)
        self._seen = latest
        return latest

    def start_from(self, signed: SignedCheckpoint | None) -> None:
        """Remember *signed* unless another was seen before."""
        self._seen = self._seen or signed

    def keep_seen(self) -> None:
        """Keep the last checkpoint that was seen beside the published one, if that is another."""
        if self._seen is not None and self._tree.checkpoint() != self._seen.note:
            self._tree.keep_checkpoint(self._seen.note)

    # --- writing: under the tree's lock ----------------------------------------------------------

    def publish(self, signed: SignedCheckpoint) -> None:
        """Durable before it is served. Raises EvidenceUnavailable with nothing published."""
        self._tree.publish(signed.note, self._key.text())
        self._seen = signed

    def recover(self) -> SignedCheckpoint | None:
        """The published checkpoint, after completing a publication that was interrupted.

        Only its signature is verified. It may still contradict one that was seen.
        """
        latest = self._latest()
        waiting = self._tree.unpublished()
        if waiting is None:
            return latest
        try:
            size = verify_checkpoint(waiting, self._key).size
        except VerificationFailed:  # torn, so it was never published
            size = -1
        if size > (latest.size if latest else -1):
            self._tree.publish(waiting, self._key.text())
            return self._latest()
        self._tree.discard_unpublished()
        return latest

    # ---------------------------------------------------------------------------------------------

    def _latest(self) -> SignedCheckpoint | None:
        """The checkpoint that is served now. Its signature is verified, its history is not."""
        note, seen = self._tree.checkpoint(), self._seen
        if seen is not None and note == seen.note:
            return seen
        if note is None:
            return None
        try:
            return SignedCheckpoint(note, verify_checkpoint(note, self._key))
        except VerificationFailed as error:
            raise AuditCorrupt(f"{self._where} is not signed by the log key: {error.detail} {RESTORE}.") from error

    def _verify_continues(self, seen: SignedCheckpoint, latest: SignedCheckpoint | None) -> None:
        """Raises AuditCorrupt unless *latest* continues *seen*, EvidenceUnavailable if unknown."""
        if latest is None or latest.size < seen.size:
            raise AuditCorrupt(f"{self._where} went back: one over {seen.size} records was there before.")
        try:
            verify_growth(self._tree, seen.checkpoint, latest.size, latest.checkpoint.root)
        except VerificationFailed as error:
            if has_root(self._tree, latest.checkpoint):
                raise AuditCorrupt(f"{self._where} contradicts one over {seen.size} records that was published before.") from None
            self._tree.fail_damaged(error)

    @property
    def _where(self) -> str:
        return f"The published checkpoint in {self._tree.folder.name}"
