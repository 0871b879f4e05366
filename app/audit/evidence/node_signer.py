"""The signers of a log that many nodes share: one is elected, and every node follows what it signs.

A node's tree is a copy that it makes from the records in the database. It counts only as far as it
gives a signed root. The checkpoint beside it is the newest that this node has seen: it stays when
the database is restored, and a database that is behind it closes the node.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ...errors import AuditCorrupt, EvidenceUnavailable, VerificationFailed
from ..format.merkle import root_at
from ..format.note import Signer
from ..format.record import LogEnd
from ..storage.store import AuditStore
from .leaves import BATCH_RECORDS
from .proofs import verify_growth
from .published import SignedCheckpoint
from .shared_head import SharedHead, read_head, verify_not_behind
from .signer import LOCK_TIMEOUT_SECONDS, CheckpointSigner
from .stored_tree import StoredTree

WAIT_SECONDS = 2.0
"""For the notary processes to sign and to follow: each looks every 0.3 s."""
POLL_SECONDS = 0.05


class NodeSigner(CheckpointSigner):
    """For a worker: it reads this node's copy, and waits for the notary process to extend it."""

    def __init__(
        self,
        store: AuditStore,
        tree: StoredTree,
        signer: Signer,
        heads: SharedHead,
        moved: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(store, tree, signer, moved)
        self._heads = heads

    def publish_next(
        self, *, at_most: int = BATCH_RECORDS, timeout_seconds: float = WAIT_SECONDS, may_rebuild: bool = True
    ) -> SignedCheckpoint | None:
        """The next checkpoint that this node's notary process publishes.

        Raises EvidenceUnavailable where none comes in time, AuditCorrupt.
        """
        before, deadline = self.published(), time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            now = self.published()
            if now is not before:
                return now
        raise EvidenceUnavailable(retry_after=1)

    def verify_start(self) -> None:
        """At start: the database is not behind what this node has seen, and its records match that.

        A few reads, however long the log is. Raises AuditCorrupt, EvidenceUnavailable.
        """
        with self.tree.locked(LOCK_TIMEOUT_SECONDS):
            own = self._published.recover()
        self._published.start_from(own)
        self._log.verify_key()
        try:
            shared, durable = read_head(self._heads, self.key), self._store.durable()
        finally:
            self._heads.close()
        verify_not_behind(own, shared)
        if durable is None:
            return
        if shared is None:
            if durable.seq > 0:  # `init` signs the first record
                raise AuditCorrupt("The database has records of the audit log, and no signed checkpoint.")
        elif durable.seq + 1 < shared.size:
            raise AuditCorrupt(
                f"The database has {durable.seq + 1} records of the audit log, and a signed checkpoint over {shared.size}."
            )
        if own is not None and not self._log.is_tree_intact(own.checkpoint):
            self._intact_for = None

    def close(self) -> None:
        super().close()
        self._heads.close()


class NotarySigner(NodeSigner):
    """For the notary process: it signs while it is elected, and follows while it is not."""

    def publish_next(
        self, *, at_most: int = BATCH_RECORDS, timeout_seconds: float = LOCK_TIMEOUT_SECONDS, may_rebuild: bool = True
    ) -> SignedCheckpoint | None:
        return CheckpointSigner.publish_next(self, at_most=at_most, timeout_seconds=timeout_seconds, may_rebuild=may_rebuild)

    @property
    def is_elected(self) -> bool:
        return self._heads.is_elected

    def published(self) -> SignedCheckpoint | None:
        """Also raises AuditCorrupt where the database is behind this copy, or contradicts it."""
        own = super().published()
        verify_not_behind(own, read_head(self._heads, self.key))
        return own

    def restore_verifier_key(self) -> bool:
        """A node that has no copy yet has lost nothing: the first one brings the file."""
        return self.tree.checkpoint() is not None and super().restore_verifier_key()

    def verify_whole(self) -> None:
        """Also against the checkpoint in the database."""
        super().verify_whole()
        shared, durable = read_head(self._heads, self.key), self._store.durable()
        if shared is not None and durable is not None:
            self._log.verify_whole(shared.checkpoint, durable, self._moved)

    # --- under the lock of the node's tree -------------------------------------------------------

    def _last_signed(self, may_rebuild: bool) -> SignedCheckpoint | None:
        own, shared = self._published.recover(), read_head(self._heads, self.key)
        verify_not_behind(own, shared)
        try:
            self._make_tree_intact(own, may_rebuild)
            if shared is None or (own is not None and own.note == shared.note):
                return own
            self._follow(own, shared)
        except VerificationFailed:  # the tree's own files
            self._intact_for = None
            raise EvidenceUnavailable(retry_after=1) from None
        self._published.publish(shared)
        self._intact_for = shared.note
        return shared

    def _follow(self, own: SignedCheckpoint | None, shared: SignedCheckpoint) -> None:
        """Extend this node's tree to *shared*. Raises AuditCorrupt where that contradicts *own*."""
        size, lines_end = own.size if own else 0, LogEnd(self._store.size(), shared.size - 1, "")
        try:
            while size < shared.size:
                size = self._log.extend_tree(size, lines_end, min(BATCH_RECORDS, shared.size - size))
                self._moved()
            is_followed = root_at(shared.size, self.tree.reader(shared.size)) == shared.checkpoint.root
        except VerificationFailed:  # the tree's own files
            is_followed = False
        if not is_followed:
            if own is not None:  # a tree that shows what was changed is not overwritten
                self._log.rebuild_tree(own.checkpoint, self._moved)
            self._log.rebuild_tree(shared.checkpoint, self._moved)
            self.rebuilds += 1
        if own is None:
            return
        try:
            verify_growth(self.tree, own.checkpoint, shared.size, shared.checkpoint.root)
        except VerificationFailed:
            raise AuditCorrupt(
                f"The signed checkpoint in the database over {shared.size} records contradicts one over {own.size} that this "
                "node has seen."
            ) from None

    def _may_sign(self) -> bool:
        return self._heads.lead()

    def _share(self, last: SignedCheckpoint | None, signed: SignedCheckpoint) -> None:
        self._heads.replace(last.note if last else None, signed.note)
