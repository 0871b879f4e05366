"""The signed part of the log: its tree, and whether its lines are still those that were signed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ...errors import AuditCorrupt, VerificationFailed
from ..format.merkle import HASH_BYTES, RightEdge, leaf_hash
from ..format.note import Checkpoint, VerifierKey
from ..format.record import EMPTY, MAX_LINE_BYTES, LogEnd, details_of, hash_of, is_record, split_lines
from ..format.tiles import WIDTH, Tile
from ..storage.store import AuditStore
from .leaves import BATCH_RECORDS, RESTORE, Leaves, read_leaves
from .proofs import has_root, proven_inclusion
from .stored_tree import StoredTree


class SignedLog:
    """Blocks: use it off the event loop. Whatever writes the tree needs its lock."""

    def __init__(self, store: AuditStore, tree: StoredTree, key: VerifierKey) -> None:
        self._store, self._tree, self._key = store, tree, key

    def is_tree_intact(self, signed: Checkpoint) -> bool:
        """Whether the stored tree gives the signed root, and the log's line is where it says.

        A few reads, however long the log is. Raises AuditCorrupt if that line was not signed.
        """
        if signed.size == 0:
            return True
        last = signed.size - 1
        try:
            if not has_root(self._tree, signed):
                return False
            leaf = self._last_leaf(signed.size)  # at a full tile, the root is made without this leaf
            proven_inclusion(self._tree, signed, last, leaf)
            line, _ = self._last_line(signed.size)
        except VerificationFailed:
            return False
        if leaf_hash(line[:-1]) != leaf:
            raise AuditCorrupt(f"Record {last} of the audit log is not what was signed. {RESTORE}.")
        return True

    def extend_tree(self, size: int, durable: LogEnd, at_most: int) -> int:
        """Add up to *at_most* lines to the stored tree of *size* records. Returns the new size.

        Raises AuditCorrupt where new lines do not chain, VerificationFailed for a damaged tree.
        """
        if size == 0:
            self.verify_key()
        leaves = read_leaves(self._store, self._end_of(size), durable, at_most)
        self._tree.extend(size, leaves.hashes, leaves.ends)
        return size + len(leaves.hashes)

    def rebuild_tree(self, signed: Checkpoint, moved: Callable[[], None] = lambda: None) -> None:
        """Make the tree again from the log. Raises AuditCorrupt if the log is not what was signed.

        The first pass only reads: a tree that shows where the log was edited is not overwritten.
        """
        self.verify_key()
        lines_end = LogEnd(self._store.size(), signed.size - 1, "")
        for must_write in (False, True):
            edge = RightEdge()
            for leaves in self._all_leaves(lines_end, moved):
                if must_write:
                    self._tree.extend(edge.size, leaves.hashes, leaves.ends)
                edge.extend(leaves.hashes)
            _verify_root(edge, signed)

    def verify_whole(self, signed: Checkpoint, durable: LogEnd, moved: Callable[[], None] = lambda: None) -> None:
        """Read the log up to *durable*: it chains, and begins with what was signed.

        Calls *moved* now and then. Raises AuditCorrupt.
        """
        self.verify_key()
        edge = RightEdge()
        for leaves in self._all_leaves(durable, moved):
            edge.extend(leaves.hashes[: signed.size - edge.size])
        _verify_root(edge, signed)

    def _all_leaves(self, durable: LogEnd, moved: Callable[[], None]) -> Iterator[Leaves]:
        end = EMPTY
        while end.seq < durable.seq:
            leaves = read_leaves(self._store, end, durable, BATCH_RECORDS)
            yield leaves
            end = leaves.log_end
            moved()

    def verify_key(self) -> None:
        """Raises AuditCorrupt if the log's first record names another key than ours."""
        if self.named_key() not in (None, self._key.text()):
            raise AuditCorrupt("The audit log was begun under another log key: AUDIT_KEY_PATH names the wrong file.")

    def named_key(self) -> str | None:
        """The verifier key in the log's first record. None: there is none, or it cannot be read."""
        first = next(split_lines(self._store.chunks(min(MAX_LINE_BYTES, self._store.size()))), b"")
        named = details_of(first).get("vkey")  # the check of the chain reports a broken first record
        return str(named) if named else None

    # --- the last record of the first *size* -----------------------------------------------------

    def _end_of(self, size: int) -> LogEnd:
        """The end of the log of the first *size* records. Raises VerificationFailed."""
        if size == 0:
            return EMPTY
        line, end = self._last_line(size)
        if leaf_hash(line[:-1]) != self._last_leaf(size):
            raise VerificationFailed("The log's line is not the stored leaf.")
        return LogEnd(end, size - 1, hash_of(line) or "")

    def _last_line(self, size: int) -> tuple[bytes, int]:
        """The line with its newline, and the byte where it ends. Raises VerificationFailed."""
        start, end = self._tree.bounds(size - 1, size - 1)
        line = b"".join(self._store.chunks(end, start))
        if not is_record(line, size - 1):
            raise VerificationFailed("The log has no line where the stored tree has one.")
        return line, end

    def _last_leaf(self, size: int) -> bytes:
        index, before = divmod(size - 1, WIDTH)
        return self._tree.fetch(Tile(0, index, before + 1))[-HASH_BYTES:]


def _verify_root(edge: RightEdge, signed: Checkpoint) -> None:
    if edge.size < signed.size or edge.root() != signed.root:
        raise AuditCorrupt(f"The first {signed.size} records of the audit log are not those that were signed. {RESTORE}.")
