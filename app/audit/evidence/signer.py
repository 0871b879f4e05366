"""The notary: keeps the tree over the durable lines and signs its head. Elected for one turn by the tree's lock.

Off the road of a question: it only reads what writers have finished. A head is signed over lines that chain from the last
signed one, made durable, and only then published; so no head contradicts another, whoever dies when.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import AuditCorrupt, EvidenceUnavailable, VerificationFailed
from ..format.merkle import (
    HASH_BYTES,
    RightEdge,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_at,
    verify_consistency,
    verify_inclusion,
)
from ..format.note import Checkpoint, Signer, sign_checkpoint, verify_checkpoint
from ..format.record import EMPTY, MAX_LINE_BYTES, LogEnd, hash_of, is_record, parse_line, split_lines
from ..format.tiles import WIDTH, Tile
from ..storage.store import AuditStore
from .leaves import RESTORE, read_leaves
from .stored_tree import StoredTree

TURN_RECORDS = 20_000
"""Most records of one turn: a tenth of a second. A head over any whole part of the log is a good head."""
PATIENCE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class SignedHead:
    """A published checkpoint, its signature verified: the bytes as served, and what they say."""

    note: bytes
    checkpoint: Checkpoint

    @property
    def size(self) -> int:
        return self.checkpoint.size


class CheckpointSigner:
    """Blocks: call it off the event loop. Several may stand ready, in one process or in many."""

    def __init__(self, store: AuditStore, tree: StoredTree, signer: Signer) -> None:
        self._store, self._tree, self._signer = store, tree, signer
        self.key = signer.verifier_key
        self._seen: SignedHead | None = None
        self._trusted: bytes | None = None  # the note whose root the stored tree was seen to give
        self._corrupt: str | None = None  # why this notary signs no more; who starts anew looks anew

    # --- reading, by anyone ------------------------------------------------------------------------

    def published(self) -> SignedHead | None:
        """The head that is served now. Raises AuditCorrupt if it is not ours, or went back; EvidenceUnavailable."""
        seen = self._seen  # first: another thread may publish just now
        head = self._latest()
        if seen is not None and head is not seen:
            self._verify_continues(seen, head)
        self._seen = head
        return head

    def _latest(self) -> SignedHead | None:
        """The head that is served now, its signature verified; whether it continues the last one seen is still to be shown."""
        note, seen = self._tree.checkpoint(), self._seen
        if seen is not None and note == seen.note:
            return seen
        return self._verified(note) if note is not None else None

    def _verify_continues(self, seen: SignedHead, head: SignedHead | None) -> None:
        """That *head* is over a log that begins with the one of *seen*. Raises AuditCorrupt, EvidenceUnavailable."""
        where = f"The published head in {self._tree.folder.name}"
        if head is None or head.size < seen.size:
            raise AuditCorrupt(f"{where} went back: one over {seen.size} was there.")
        try:
            self._root(seen, head.size, head.checkpoint.root)
        except VerificationFailed:
            if self._is_given(head):
                raise AuditCorrupt(f"{where} denies one over {seen.size} that was published.") from None
            self._tree.mark_damaged()
            raise EvidenceUnavailable("The log's stored tree is damaged; it is made anew.", retry_after=5) from None

    def _is_given(self, head: SignedHead) -> bool:
        """Whether the stored tree gives the root of *head*."""
        try:
            return root_at(head.size, self._tree.reader(head.size)) == head.checkpoint.root
        except VerificationFailed:
            return False

    def has_damaged_tree(self) -> bool:
        """Whether a reader found that the stored tree does not give what was signed: a turn makes it anew."""
        return self._tree.is_damaged()

    # --- a turn ------------------------------------------------------------------------------------

    def publish_next(
        self, *, at_most: int = TURN_RECORDS, timeout_seconds: float = PATIENCE_SECONDS, may_rebuild: bool = True
    ) -> SignedHead | None:
        """Sign what is durable and not signed yet, up to *at_most* records. None: there is no record to sign.

        *may_rebuild*: whether there is time to make a damaged tree anew, from the whole log.

        Raises EvidenceUnavailable (another has the turn, or the disk fails: nothing was published), or AuditCorrupt where
        the log is not what was signed, or its new lines do not chain; then nothing is signed any more.
        """
        with self._tree.locked(timeout_seconds):
            head = self._settled()
            durable = self._store.durable()
            size = head.size if head else 0
            if durable is None or (durable.seq + 1 <= size and not self._tree.is_damaged()):
                return self.published()
            if self._corrupt is not None:
                raise AuditCorrupt(self._corrupt)
            try:
                self._trust(head, may_rebuild)
                head = self.published()
                if durable.seq + 1 <= size:
                    return head
                new = self._extend(size, durable, at_most)
                root = self._root(head, new)
            except VerificationFailed:
                self._trusted = None
                raise EvidenceUnavailable(retry_after=1) from None
            except AuditCorrupt as error:
                self._corrupt = error.detail
                raise
            note = sign_checkpoint(new, root, self._signer)
            self._tree.publish(note, self.key.text())
            self._seen = SignedHead(note, Checkpoint(self._signer.name, new, root))
            self._trusted = note
            return self._seen

    def verify_start(self) -> None:
        """At start, once the log's end has been settled: it must reach as far as was signed, and be that there.

        A few reads, however long the log is. Raises AuditCorrupt, EvidenceUnavailable.
        """
        with self._tree.locked(PATIENCE_SECONDS):
            head = self._settled()
        self._seen = self._seen or head
        self._verify_name()
        durable = self._store.durable()
        if head is None and durable is not None and durable.seq > 0 and self._named_key() is not None:  # init makes the first
            raise AuditCorrupt(f"The signed head of the audit log, {self._tree.folder.name}/checkpoint, is missing. {RESTORE}.")
        if head is None or durable is None:
            return
        if durable.seq + 1 < head.size:
            there = f"The audit log has {durable.seq + 1} records, and a head over {head.size} was signed"
            raise AuditCorrupt(f"{there}: its end was cut off. {RESTORE}.")
        try:
            self._verify_last_signed(head)
        except VerificationFailed:
            self._trusted = None  # the stored tree is damaged: the next turn makes it anew from the log

    # --- parts of it, under the lock -----------------------------------------------------------------

    def _settled(self) -> SignedHead | None:
        """The published head, after finishing a publication that was cut short. It may still deny one that was seen."""
        head = self._latest()
        waiting = self._tree.unpublished()
        if waiting is not None:
            try:
                late = verify_checkpoint(waiting, self.key)
            except VerificationFailed:  # torn: it was never published
                self._tree.discard_unpublished()
                return head
            if head is None or late.size > head.size:
                self._tree.publish(waiting, self.key.text())
                return self._latest()
            self._tree.discard_unpublished()
        return head

    def _trust(self, head: SignedHead | None, may_rebuild: bool) -> None:
        """Believe the stored tree if it gives the signed root; else make it anew, which takes its time."""
        damaged = self._tree.is_damaged()
        if head is None or (head.note == self._trusted and not damaged):
            return
        try:
            if damaged:
                raise VerificationFailed
            self._verify_last_signed(head)
        except VerificationFailed:
            if not may_rebuild:
                self._tree.mark_damaged()
                raise EvidenceUnavailable("The log's stored tree is damaged; it is made anew.", retry_after=5) from None
            self._rebuild(head)
            self._tree.mark_whole()
        self._trusted = head.note

    def _verify_last_signed(self, head: SignedHead) -> None:
        """The stored tree gives the signed root, and its last leaf is the log's line. A few reads.

        Raises VerificationFailed where the stored tree is damaged, AuditCorrupt where the log is not what was signed.
        """
        size, read = head.size, self._tree.reader(head.size)
        if size == 0:
            return
        if root_at(size, read) != head.checkpoint.root:
            raise VerificationFailed("The stored tree does not give the signed root.")
        leaf = self._last_leaf(size)  # if 256 divides the size, the root was not made from it
        verify_inclusion(size - 1, size, leaf, inclusion_proof(size - 1, size, read), head.checkpoint.root)
        if leaf_hash(self._last_line(size)[0][:-1]) != leaf:
            raise AuditCorrupt(f"Record {size - 1} of the audit log is not what was signed. {RESTORE}.")

    def _root(self, head: SignedHead | None, new: int, wanted: bytes | None = None) -> bytes:
        """The root over the first *new* records (*wanted*), proven to continue *head*. Else raises VerificationFailed."""
        read = self._tree.reader(new)
        root = root_at(new, read) if wanted is None else wanted
        if head is not None:
            verify_consistency(head.size, new, head.checkpoint.root, root, consistency_proof(head.size, new, read))
        return root

    def _rebuild(self, head: SignedHead) -> None:
        """Make the stored tree anew, once the log is seen to be what was signed: until then it may be what shows the edit."""
        self._verify_name()
        lines_end = LogEnd(self._store.size(), head.size - 1, "")
        for write in (False, True):
            edge, at = RightEdge(), EMPTY
            while edge.size < head.size:
                old, (leaves, ends, at) = edge.size, read_leaves(self._store, at, lines_end, TURN_RECORDS)
                edge.extend(leaves)
                if write:
                    self._tree.extend(old, leaves, ends)
            if edge.root() != head.checkpoint.root:
                raise AuditCorrupt(f"The first {head.size} records of the audit log are not those that were signed. {RESTORE}.")

    def _extend(self, size: int, durable: LogEnd, at_most: int) -> int:
        """Put up to *at_most* lines after the first *size* into the stored tree; the new size. Raises AuditCorrupt."""
        if size == 0:
            self._verify_name()
        leaves, ends, _ = read_leaves(self._store, self._head_at(size), durable, at_most)
        self._tree.extend(size, leaves, ends)
        return size + len(leaves)

    def _head_at(self, size: int) -> LogEnd:
        """The head of the first *size* records, from the last line. Raises VerificationFailed if that is not the last leaf."""
        if size == 0:
            return EMPTY
        line, end = self._last_line(size)
        if leaf_hash(line[:-1]) != self._last_leaf(size):
            raise VerificationFailed("The log's line is not the stored leaf.")
        return LogEnd(end, size - 1, hash_of(line) or "")

    def _last_line(self, size: int) -> tuple[bytes, int]:
        """The last of the first *size* lines, and where it ends. Raises VerificationFailed where the stored ends are wrong."""
        start, end = self._tree.bounds(size - 1, size - 1)
        line = b"".join(self._store.chunks(end, start))
        if not is_record(line, size - 1):
            raise VerificationFailed("The log has no line where the stored tree says that one is.")
        return line, end

    def _last_leaf(self, size: int) -> bytes:
        index, before = divmod(size - 1, WIDTH)
        return self._tree.fetch(Tile(0, index, before + 1))[-HASH_BYTES:]

    def _verify_name(self) -> None:
        """The log's first record names its key. Raises AuditCorrupt if that is another: two keys, two logs."""
        if self._named_key() not in (None, self.key.text()):
            raise AuditCorrupt("The audit log was begun under another log key: AUDIT_KEY_PATH names the wrong file.")

    def _named_key(self) -> str | None:
        """The verifier key in the log's first line. None: it was begun before logs were signed, or cannot be read."""
        first = next(split_lines(self._store.chunks(min(MAX_LINE_BYTES, self._store.size()))), b"")
        try:
            named = parse_line(first)["details"].get("vkey")
        except (ValueError, KeyError, AttributeError):
            return None  # what is wrong with it is told by who checks the chain
        return str(named) if named else None

    def _verified(self, note: bytes) -> SignedHead:
        try:
            return SignedHead(note, verify_checkpoint(note, self.key))
        except VerificationFailed as error:
            raise AuditCorrupt(
                f"The published head in {self._tree.folder.name} is not signed by the log key: {error.detail} {RESTORE}."
            ) from error
