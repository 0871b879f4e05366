"""Serves pieces of the log: lines, tiles, receipts. Takes no lock that a writer of the log needs.

Nothing is served that contradicts the signed checkpoint: each line is checked against its leaf,
and each proof and tile against the signed root.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from ...errors import AuditCorrupt, EvidenceUnavailable, NotFound, VerificationFailed
from ..format.merkle import HASH_BYTES, leaf_hash
from ..format.note import VerifierKey
from ..format.receipt import make_receipt
from ..format.record import is_record, user_of
from ..format.tiles import ENTRIES, WIDTH, Tile, bundle, hashes_of
from ..storage.store import AuditStore
from .proofs import proven_inclusion
from .proven_tiles import ProvenTiles
from .published import SignedCheckpoint
from .signer import CheckpointSigner
from .stored_tree import StoredTree

MAX_LINES = 1_000
"""Most lines of one page."""
MAX_LOOKED_AT = 20_000
"""Most lines that one page searches for those of one user."""
MAX_PAGE_BYTES = 4 << 20
READ_LINES = 64
"""Lines that are read at once: at most 4 MB."""
MAX_PUBLICATIONS = 50
WAIT_SECONDS = 2.0
"""How long a read waits for a checkpoint over the newest records."""


@dataclass(frozen=True, slots=True)
class Page:
    """Stored lines, each with its newline, in the order of the log.

    *next*: where the next page begins. None: this page reached the end of what is signed.
    """

    lines: list[bytes]
    next: int | None


class EvidenceReader:
    """Blocks: call it off the event loop.

    Raises EvidenceUnavailable or AuditUnavailable where something cannot be read now, AuditCorrupt
    where the log is not what was signed.
    """

    def __init__(self, store: AuditStore, tree: StoredTree, checkpoint_signer: CheckpointSigner) -> None:
        self._store, self._tree, self._signer = store, tree, checkpoint_signer
        self._tiles = ProvenTiles(tree)

    @property
    def vkey(self) -> VerifierKey:
        return self._signer.key

    def checkpoint(self) -> bytes:
        """The signed checkpoint (C2SP tlog-checkpoint)."""
        return self._signed().note

    def tile(self, tile: Tile) -> bytes:
        """A hash tile or entry bundle (C2SP tlog-tiles). Raises NotFound past the signed size."""
        if tile.size > self._signed().size:
            raise NotFound("The signed log has no such tile yet.")
        if tile.level == ENTRIES:
            first = tile.index * WIDTH
            return bundle(line[:-1] for line in self._verified_lines(first, first + tile.width - 1))
        with self._damage_reported():
            return self._tiles.tile(self._signed().checkpoint, tile.level, tile.index)[: tile.width * HASH_BYTES]

    def entry(self, seq: int) -> bytes:
        """The stored line, with its newline. Raises NotFound past the end of the log."""
        self._checkpoint_over(seq)
        return self._verified_lines(seq, seq)[0]

    def receipt(self, seq: int) -> bytes:
        """The receipt of a record (C2SP tlog-proof), with its line in `extra`. Raises NotFound."""
        signed = self._checkpoint_over(seq)
        line = self._verified_lines(seq, seq)[0][:-1]
        with self._damage_reported():
            proof = proven_inclusion(self._tree, signed.checkpoint, seq, leaf_hash(line))
        return make_receipt(seq, line, proof, signed.note)

    def covered(self, wanted: int) -> int:
        """How many records a checkpoint covers: *wanted*, if one over so many comes in time."""
        with suppress(EvidenceUnavailable):
            self._publish_over(wanted)
        signed = self._signer.published()
        return 0 if signed is None else signed.size

    def page(self, start: int, limit: int, user_id: str | None = None, *, end: int | None = None) -> Page:
        """Up to *limit* (at least 1) lines from record *start*; with *user_id*, that user's only.

        Only records before *end*; None: all that are durable. What no checkpoint covers in time is
        left out. A page is also bounded in bytes and in lines searched, so it may be short and not
        the last.
        """
        if end is None:
            durable = self._store.durable()
            end = 0 if durable is None else durable.seq + 1
        if start >= end:
            return Page([], None)
        stop = min(end, start + (limit if user_id is None else MAX_LOOKED_AT))
        if (covered := self.covered(stop)) < stop:
            end = stop = covered
        found: list[bytes] = []
        at, size = start, 0
        for line in self._scan(start, stop):
            at += 1
            if user_id is not None and user_of(line) != user_id:
                continue
            found.append(line)
            size += len(line)
            if len(found) == limit or size >= MAX_PAGE_BYTES:
                break
        return Page(found, at if at < end else None)

    # --- checkpoints -----------------------------------------------------------------------------

    def _signed(self) -> SignedCheckpoint:
        signed = self._signer.published() or self._signer.publish_next(may_rebuild=False)
        if signed is None:
            raise EvidenceUnavailable("Nothing was signed yet. Try again in a moment.", retry_after=1)
        return signed

    def _checkpoint_over(self, seq: int) -> SignedCheckpoint:
        """A checkpoint that covers record *seq*: the published one, or one that is signed now."""
        signed = self._signer.published()
        if signed is not None and seq < signed.size:
            return signed
        if not self._is_durable(seq):
            raise NotFound("The log has no such record.")
        signed = self._publish_over(seq + 1)
        if signed is None or signed.size <= seq:
            raise EvidenceUnavailable(retry_after=2)
        return signed

    def _publish_over(self, size: int) -> SignedCheckpoint | None:
        """The newest checkpoint: one over *size* records, if it comes in time.

        Raises EvidenceUnavailable where none comes.
        """
        deadline, signed = time.monotonic() + WAIT_SECONDS, self._signer.published()
        for _ in range(MAX_PUBLICATIONS):  # more than one only after a long pause of the signing loop
            left = deadline - time.monotonic()
            if left <= 0 or (signed is not None and signed.size >= size):
                break
            signed = self._signer.publish_next(timeout_seconds=left, may_rebuild=False)
        return signed

    def _is_durable(self, seq: int) -> bool:
        """Raises EvidenceUnavailable where only the next append can tell: the mark may lag."""
        end = self._store.durable()
        if end is not None and seq <= end.seq:
            return True
        past = b"" if end is None else b"".join(self._store.chunks(end.size + MAX_PAGE_BYTES, end.size))
        if end is None or seq <= end.seq + past.count(b"\n"):
            raise EvidenceUnavailable("The end of the log is not known now. Try again in a moment.", retry_after=1)
        return False

    # --- lines -----------------------------------------------------------------------------------

    def _scan(self, start: int, stop: int) -> Iterator[bytes]:
        for first in range(start, stop, READ_LINES):
            yield from self._verified_lines(first, min(stop, first + READ_LINES) - 1)

    def _verified_lines(self, first: int, last: int) -> list[bytes]:
        """Stored lines that the checkpoint covers, each checked against its leaf."""
        with self._damage_reported():
            bounds = self._tree.bounds(first, last)
            leaves = self._leaves(first, last)
        data = b"".join(self._store.chunks(bounds[-1], bounds[0]))
        lines = [data[start - bounds[0] : end - bounds[0]] for start, end in itertools.pairwise(bounds)]
        for seq, (line, leaf) in enumerate(zip(lines, leaves, strict=True), first):
            if line[-1:] != b"\n" or leaf_hash(line[:-1]) != leaf:
                with self._damage_reported():
                    self._verify_tree_at(seq, line, leaf)
                raise AuditCorrupt(f"Record {seq} of the audit log is not what was signed.")
        return lines

    def _leaves(self, first: int, last: int) -> list[bytes]:
        found: list[bytes] = []
        for index in range(first // WIDTH, last // WIDTH + 1):
            tile_start = index * WIDTH
            start, end = max(first, tile_start), min(last + 1, tile_start + WIDTH)
            found += hashes_of(self._tree.fetch(Tile(0, index, end - tile_start)))[start - tile_start :]
        return found

    def _verify_tree_at(self, seq: int, line: bytes, leaf: bytes) -> None:
        """For a line unlike its leaf. Raises VerificationFailed if the tree is wrong."""
        if not is_record(line, seq):
            raise VerificationFailed("The log has no line where the stored tree has one.")
        proven_inclusion(self._tree, self._signed().checkpoint, seq, leaf)

    # ---------------------------------------------------------------------------------------------

    @contextmanager
    def _damage_reported(self) -> Iterator[None]:
        """A damaged tree is marked for the signer to rebuild. Until then, EvidenceUnavailable."""
        try:
            yield
        except VerificationFailed as error:
            self._tree.fail_damaged(error)
