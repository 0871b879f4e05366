"""What the log shows to those who ask for pieces of it: lines, tiles, receipts. Reads only, and never keeps a writer waiting.

Nothing leaves that does not agree with the signed head: a line is held against its leaf, a proof against the root.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ...errors import AuditCorrupt, EvidenceUnavailable, NotFound, VerificationFailed
from ..format.merkle import HASH_BYTES, inclusion_proof, leaf_hash, root_at, root_of, verify_inclusion
from ..format.note import VerifierKey
from ..format.receipt import make_receipt
from ..format.record import is_record, user_of
from ..format.tiles import ENTRIES, HEIGHT, WIDTH, Tile, bundle
from ..storage.store import AuditStore
from .signer import CheckpointSigner, SignedHead
from .stored_tree import StoredTree

T = TypeVar("T")
MAX_LINES = 1_000
"""Most lines of one page."""
MAX_LOOKED_AT = 20_000
"""Most lines that one page looks through for those of one user."""
MAX_PAGE_BYTES = 4 << 20
STEP = 64
"""Lines read at once: at most 4 MB of them."""
TURNS = 50


@dataclass(frozen=True, slots=True)
class Page:
    """Stored lines, each with its newline, in the order of the log. *next*: where to go on; None: this was the end."""

    lines: list[bytes]
    next: int | None


def _hashes(data: bytes) -> list[bytes]:
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


class EvidenceReader:
    """Blocks: call it off the event loop. Raises EvidenceUnavailable or AuditUnavailable where something cannot be read,
    AuditCorrupt where it is not what was signed."""

    def __init__(self, store: AuditStore, tree: StoredTree, checkpoint_signer: CheckpointSigner) -> None:
        self._store, self._tree, self._notary = store, tree, checkpoint_signer

    @property
    def vkey(self) -> VerifierKey:
        return self._notary.key

    def checkpoint(self) -> bytes:
        """The signed head, in the bytes of C2SP tlog-checkpoint."""
        return self._signed().note

    def tile(self, tile: Tile) -> bytes:
        """A hash tile or an entry bundle (C2SP tlog-tiles), of any width that the signed head covers. Raises NotFound."""
        if tile.size > self._signed().size:
            raise NotFound("The signed log has no such tile yet.")
        if tile.level != ENTRIES:
            return self._believed(lambda: self._proven(tile.level, tile.index))[: tile.width * HASH_BYTES]
        first = tile.index * WIDTH
        return bundle(line[:-1] for line in self._lines(first, first + tile.width - 1))

    def entry(self, seq: int) -> bytes:
        """The stored line, with its newline. Raises NotFound past the end of the log."""
        self._covering(seq)
        return self._lines(seq, seq)[0]

    def receipt(self, seq: int) -> bytes:
        """The C2SP tlog-proof of a record under the signed head, its line in `extra`. Raises NotFound."""
        signed = self._covering(seq)
        line = self._lines(seq, seq)[0][:-1]

        def proof() -> bytes:
            hashes = inclusion_proof(seq, signed.size, self._tree.reader(signed.size))
            verify_inclusion(seq, signed.size, leaf_hash(line), hashes, signed.checkpoint.root)
            return make_receipt(seq, line, hashes, signed.note)

        return self._believed(proof)

    def page(self, start: int, limit: int, user_id: str | None = None) -> Page:
        """Up to *limit* lines from record *start* on; with *user_id*, only that user's, found in a bounded stretch."""
        durable = self._store.durable()
        end = 0 if durable is None else durable.seq + 1  # what is durable now belongs to the page, signed or not yet
        if start >= end:
            return Page([], None)
        wanted = min(end, start + (limit if user_id is None else MAX_LOOKED_AT))
        self._covering(wanted - 1)
        found: list[bytes] = []
        at, size = start, 0
        while at < wanted and len(found) < limit and size < MAX_PAGE_BYTES:
            for line in self._lines(at, min(wanted, at + STEP) - 1):
                at += 1
                if user_id is None or user_of(line) == user_id:
                    found.append(line)
                    size += len(line)
                    if len(found) == limit or size >= MAX_PAGE_BYTES:
                        break
        return Page(found, at if at < end else None)

    # ---------------------------------------------------------------------------------------------

    def _signed(self) -> SignedHead:
        head = self._notary.published() or self._notary.publish_next(may_rebuild=False)
        if head is None:
            raise EvidenceUnavailable("Nothing was signed yet. Try again in a moment.", retry_after=1)
        return head

    def _covering(self, seq: int) -> SignedHead:
        """A signed head that covers record *seq*: the published one, or one that is signed now."""
        head = self._notary.published()
        if head is not None and seq < head.size:
            return head
        durable = self._store.durable()
        if durable is None or seq > durable.seq:
            raise NotFound("The log has no such record.")
        for _ in range(TURNS):  # more than one only where the notary was away for long
            head = self._notary.publish_next(may_rebuild=False)
            if head is not None and seq < head.size:
                return head
        raise EvidenceUnavailable(retry_after=2)

    def _lines(self, first: int, last: int) -> list[bytes]:
        """Stored lines that the signed head covers, each held against its leaf."""
        bounds = self._believed(lambda: self._tree.bounds(first, last))
        data = b"".join(self._store.chunks(bounds[-1], bounds[0]))
        lines = [data[start - bounds[0] : end - bounds[0]] for start, end in itertools.pairwise(bounds)]
        for seq, (line, leaf) in enumerate(zip(lines, self._leaves(first, last), strict=True), first):
            if line[-1:] != b"\n" or leaf_hash(line[:-1]) != leaf:
                self._believed(lambda: self._verify_record(seq, line, leaf))  # noqa: B023 - called at once
                raise AuditCorrupt(f"Record {seq} of the audit log is not what was signed.")
        return lines

    def _proven(self, level: int, index: int) -> bytes:
        """The widest tile at this place that the signed head covers, held against the root: a tile is kept for ever."""
        signed = self._signed()
        read = self._tree.reader(signed.size)
        width = min(WIDTH, (signed.size >> HEIGHT * level) - index * WIDTH)
        data = self._tree.fetch(Tile(level, index, width))
        if width == WIDTH:  # its root stands one level above
            start = index % WIDTH * HASH_BYTES
            is_sound = root_of(_hashes(data)) == self._proven(level + 1, index // WIDTH)[start : start + HASH_BYTES]
        else:  # the root is made from all of it
            is_sound = root_at(signed.size, read) == signed.checkpoint.root
        if not is_sound:
            raise VerificationFailed("The stored tile does not lead to the signed root.")
        return data

    def _verify_record(self, seq: int, line: bytes, leaf: bytes) -> None:
        """That *leaf* was signed as record *seq*, and *line* is one: else it is the stored tree that is wrong, not the log."""
        if not is_record(line, seq):
            raise VerificationFailed("The log has no line where the stored tree says that one is.")
        signed = self._signed()
        hashes = inclusion_proof(seq, signed.size, self._tree.reader(signed.size))
        verify_inclusion(seq, signed.size, leaf, hashes, signed.checkpoint.root)

    def _leaves(self, first: int, last: int) -> list[bytes]:
        found: list[bytes] = []
        for index in range(first // WIDTH, last // WIDTH + 1):
            start, end = max(first, index * WIDTH), min(last + 1, (index + 1) * WIDTH)
            data = self._believed(lambda: self._tree.fetch(Tile(0, index, end - index * WIDTH)))  # noqa: B023 - called at once
            found += _hashes(data)[start - index * WIDTH :]
        return found

    def _believed(self, read: Callable[[], T]) -> T:
        """What *read* gives from the stored tree. Where the tree is damaged, the notary makes it anew; until then: not now."""
        try:
            return read()
        except VerificationFailed as error:
            self._tree.mark_damaged()
            raise EvidenceUnavailable("The log's stored tree is damaged; it is made anew.", retry_after=5) from error
