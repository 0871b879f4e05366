"""Signs the end of the log: the next checkpoint over durable lines that chain from the last one.

A checkpoint is made durable before it is served, and the tree's lock admits one signer at a time.
So no checkpoint contradicts another, whichever process ends at whichever moment.
"""

from __future__ import annotations

from collections.abc import Callable

from ...errors import AuditCorrupt, EvidenceUnavailable, VerificationFailed
from ..format.merkle import root_at
from ..format.note import Checkpoint, Signer, sign_checkpoint
from ..format.record import LogEnd
from ..storage.store import AuditStore
from .leaves import BATCH_RECORDS, RESTORE
from .proofs import verify_growth
from .published import PublishedCheckpoint, SignedCheckpoint
from .signed_log import SignedLog
from .stored_tree import StoredTree

LOCK_TIMEOUT_SECONDS = 2.0


class CheckpointSigner:
    """Blocks: call it off the event loop. Any number may exist, in one process or in many."""

    def __init__(self, store: AuditStore, tree: StoredTree, signer: Signer, moved: Callable[[], None] = lambda: None) -> None:
        """*moved* is called now and then during work that may take minutes."""
        self._store, self.tree, self._signer, self._moved = store, tree, signer, moved
        self.key = signer.verifier_key
        self._published = PublishedCheckpoint(tree, self.key)
        self._log = SignedLog(store, tree, self.key)
        self._intact_for: bytes | None = None  # the note that the stored tree was found to match
        self._corrupt: tuple[str, int] | None = None  # why nothing is signed, and the size that was signed then
        self.rebuilds = 0
        """How often this object rebuilt the stored tree."""

    @property
    def is_elected(self) -> bool:
        """Whether this is the one signer of the log, which also reads old records again."""
        return True

    def published(self) -> SignedCheckpoint | None:
        """The checkpoint that is served now: `PublishedCheckpoint.current`."""
        return self._published.current()

    def publish_next(
        self, *, at_most: int = BATCH_RECORDS, timeout_seconds: float = LOCK_TIMEOUT_SECONDS, may_rebuild: bool = True
    ) -> SignedCheckpoint | None:
        """Sign the next durable records, up to *at_most*. None: the log has no record.

        *may_rebuild*: whether there is time to rebuild a damaged tree from the whole log.

        Raises EvidenceUnavailable with nothing published (another signer has the lock, or the disk
        fails). Raises AuditCorrupt where the log is not what was signed or new lines do not chain.
        After that, this object signs no more until it, or another signer, finds the log sound.
        """
        with self.tree.locked(timeout_seconds):
            last = self._last_signed(may_rebuild)
            durable = self._store.durable() if self._may_sign() else None
            size = last.size if last else 0
            if durable is None or (durable.seq < size and not self.tree.is_damaged()):
                return self.published()
            if self._corrupt is not None and self._corrupt[1] >= size:  # else another signer found it sound
                raise AuditCorrupt(self._corrupt[0])
            try:
                self._make_tree_intact(last, may_rebuild)
                last = self.published()
                return last if durable.seq < size else self._sign(last, size, durable, at_most)
            except VerificationFailed:
                self._intact_for = None
                raise EvidenceUnavailable(retry_after=1) from None
            except AuditCorrupt as error:
                self._corrupt = error.detail, size
                raise

    def verify_start(self) -> None:
        """At start, after recovery: the log must reach as far as was signed, and match there.

        A few reads, however long the log is. Raises AuditCorrupt, EvidenceUnavailable.
        """
        with self.tree.locked(LOCK_TIMEOUT_SECONDS):
            last = self._published.recover()
        self._published.start_from(last)
        self._log.verify_key()
        durable = self._store.durable()
        if last is None:
            # `init` signs the first record. A log with more of them had a checkpoint once.
            if durable is not None and durable.seq > 0 and self._log.named_key() is not None:
                path = f"{self.tree.folder.name}/checkpoint"
                raise AuditCorrupt(f"The signed checkpoint of the audit log, {path}, is missing. {RESTORE}.")
            return
        if durable is None:
            return
        if durable.seq + 1 < last.size:
            raise AuditCorrupt(
                f"The audit log has {durable.seq + 1} records, but a checkpoint over {last.size} was signed: "
                f"the end of the log was cut off. {RESTORE}."
            )
        if not self._log.is_tree_intact(last.checkpoint):
            self._intact_for = None  # the next publication rebuilds the tree

    def verify_whole(self) -> None:
        """Read the whole log. Raises AuditCorrupt if it is not what was signed, or does not chain.

        If all is well, this object signs again.
        """
        signed, durable = self._published.current(), self._store.durable()
        if signed is not None and durable is not None:
            self._log.verify_whole(signed.checkpoint, durable, self._moved)
        self._corrupt = self._intact_for = None

    def keep_checkpoint(self) -> None:
        """If the published checkpoint is not the last that was seen, keep that one beside it."""
        self._published.keep_seen()

    def restore_verifier_key(self) -> bool:
        """Write the file `vkey` again if it is not what it should be. False: it was right."""
        if self.tree.verifier_key() == self.key.text():
            return False
        with self.tree.locked(LOCK_TIMEOUT_SECONDS):
            self.tree.write_verifier_key(self.key.text())
        return True

    def close(self) -> None:
        """Close what it reads from. Idempotent; it opens again by itself."""
        self._store.close()

    # --- under the lock --------------------------------------------------------------------------

    def _last_signed(self, may_rebuild: bool) -> SignedCheckpoint | None:
        """What the next checkpoint must continue. It may still contradict one that was seen."""
        return self._published.recover()

    def _may_sign(self) -> bool:
        """The process that holds the lock of the tree signs."""
        return True

    def _share(self, last: SignedCheckpoint | None, signed: SignedCheckpoint) -> None:
        """Called before *signed* is published. Raises EvidenceUnavailable: then it is not."""

    def _make_tree_intact(self, last: SignedCheckpoint | None, may_rebuild: bool) -> None:
        """Rebuild the stored tree, from the whole log, if it does not give the signed root."""
        is_damaged = self.tree.is_damaged()
        if last is None or (last.note == self._intact_for and not is_damaged):
            return
        if is_damaged or not self._log.is_tree_intact(last.checkpoint):
            if not may_rebuild:
                self.tree.fail_damaged()
            self._log.rebuild_tree(last.checkpoint, self._moved)
            self.tree.mark_intact()
            self.rebuilds += 1
        self._intact_for = last.note

    def _sign(self, last: SignedCheckpoint | None, size: int, durable: LogEnd, at_most: int) -> SignedCheckpoint:
        """Add lines to the tree of *size* records, prove that it continues *last*, publish it."""
        new_size = self._log.extend_tree(size, durable, at_most)
        root = root_at(new_size, self.tree.reader(new_size))
        if last is not None:
            verify_growth(self.tree, last.checkpoint, new_size, root)
        note = sign_checkpoint(new_size, root, self._signer)
        signed = SignedCheckpoint(note, Checkpoint(self._signer.name, new_size, root))
        self._share(last, signed)
        self._published.publish(signed)
        self._intact_for = note
        return signed
