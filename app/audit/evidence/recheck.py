"""Reads signed lines of the log again, and compares them with the leaves that were signed.

Neither the lines nor the stored tree is trusted: a tile counts once it leads to the signed root.
Where a line is not its leaf, lines are found by their newlines, so a false `ends` misleads nobody.
A later pass compares one digest for each tile: of the bytes that an earlier pass has proven.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from hashlib import sha256

from ...errors import AuditCorrupt, VerificationFailed
from ..format.merkle import HASH_BYTES, leaf_hash
from ..format.note import Checkpoint
from ..format.record import MAX_LINE_BYTES
from ..format.tiles import WIDTH, Tile, hashes_of
from ..storage.store import AuditStore
from .proven_tiles import ProvenTiles
from .stored_tree import StoredTree, ends_in

RECENT_RECORDS = 1_024
"""The newest records, compared whenever the log has changed."""
PIECE = 1 << 18
"""Bytes that are read at once where it is not known how long the lines are."""


class Pass:
    """One pass over the records that *signed* covers, a few tiles at a time."""

    def __init__(self, store: AuditStore, tree: StoredTree, signed: Checkpoint, known: bytearray) -> None:
        """*known* is kept from pass to pass, for one log: 32 bytes for each whole tile."""
        self._store, self._tree, self.signed, self._known = store, tree, signed, known
        self._tiles = ProvenTiles(tree, keeps_partial=True)
        self._seq = 0
        self.position = 0
        """The byte up to which the log was compared."""

    @property
    def is_done(self) -> bool:
        return self._seq == self.signed.size

    def read(self, at_most: int) -> int:
        """Compare the next tiles, of about *at_most* bytes. Returns how many bytes were compared.

        Raises AuditCorrupt for a record that is not what was signed, and VerificationFailed for a
        stored tree that is damaged.
        """
        start = self.position
        while not self.is_done and self.position - start < max(1, at_most):
            self._read_tile(self._seq // WIDTH, min(WIDTH, self.signed.size - self._seq))
        return self.position - start

    def _read_tile(self, index: int, width: int) -> None:
        tile, stored = self._tree.fetch(Tile(0, index, width)), self._tree.stored_ends(self._seq, width)
        ends = ends_in(stored)
        may_be_end = self.position < ends[-1] <= self.position + width * MAX_LINE_BYTES
        data = b"".join(self._store.chunks(ends[-1], self.position)) if may_be_end else b""
        digest, place = sha256(tile + stored + data).digest(), slice(index * HASH_BYTES, (index + 1) * HASH_BYTES)
        if width == WIDTH and self._known[place] == digest:
            self._tiles.tile(self.signed, 1, index // WIDTH)  # every pass reads the levels above
        else:
            self._prove(tile, ends, data)
            if width == WIDTH:
                self._known[place] = digest
        self._seq, self.position = self._seq + width, ends[-1]

    def _prove(self, tile: bytes, ends: list[int], data: bytes) -> None:
        proven = self._tiles.tile(self.signed, 0, self._seq // WIDTH)
        leaves = hashes_of(proven)
        if proven != tile or ends != list(_ends(data, self.position)) or _leaves(data) != leaves:
            _verify_lines(self._store, self._seq, self.position, leaves)
            raise VerificationFailed("The stored ends of lines are not those of the log.")


class Recent:
    """The last RECENT_RECORDS signed records, as this process saw them when they were signed."""

    def __init__(self, store: AuditStore, tree: StoredTree) -> None:
        self._store, self._tree = store, tree
        self._lines: deque[tuple[bytes, int]] = deque()  # leaf hash and length
        self._start, self._end, self._size = 0, 0, 0

    def follow(self, signed: Checkpoint) -> None:
        """Take in the records that were signed since, each compared with its proven leaf.

        Raises AuditCorrupt, VerificationFailed.
        """
        if self._lines or signed.size <= RECENT_RECORDS:
            self._take_in(signed)
            return
        first = (signed.size - RECENT_RECORDS) // WIDTH * WIDTH
        self._size, self._start = first, self._tree.bounds(first, first)[0]
        self._end = self._start
        try:
            self._take_in(signed)
        except AuditCorrupt as error:  # or the stored `ends` are wrong: to rebuild the tree decides it
            raise VerificationFailed(error.detail) from error

    def compare(self) -> None:
        """Raises AuditCorrupt where one of these records was edited."""
        seq, start = self._size - len(self._lines), self._start
        lines = iter(self._lines)
        while some := list(itertools.islice(lines, WIDTH)):
            known = [leaf for leaf, _ in some]
            end = start + sum(size for _, size in some)
            if _leaves(b"".join(self._store.chunks(end, start))) != known:
                _verify_lines(self._store, seq, start, known)
                raise AuditCorrupt(f"The audit log was changed near record {seq}.")
            seq, start = seq + len(some), end

    def _take_in(self, signed: Checkpoint) -> None:
        tiles = ProvenTiles(self._tree, keeps_partial=True)
        lines = _lines(self._store, self._size, self._end)
        while self._size < signed.size:
            index, first = divmod(self._size, WIDTH)
            proven = hashes_of(tiles.tile(signed, 0, index))[first:]
            some = list(itertools.islice(lines, len(proven)))
            for seq, ((found, _), leaf) in enumerate(zip(some, proven, strict=True), self._size):
                _verify_leaf(seq, found, leaf)
            self._lines += some
            self._size, self._end = self._size + len(some), self._end + sum(size for _, size in some)
        while len(self._lines) > RECENT_RECORDS:
            self._start += self._lines.popleft()[1]


def _leaves(data: bytes) -> list[bytes]:
    """The leaf hash of each whole line."""
    return [sha256(b"\x00" + line).digest() for line in data.split(b"\n")[:-1]]  # merkle.leaf_hash, in a hot loop


def _ends(data: bytes, start: int) -> Iterator[int]:
    return itertools.islice(itertools.accumulate((len(line) + 1 for line in data.split(b"\n")[:-1]), initial=start), 1, None)


def _verify_lines(store: AuditStore, seq: int, start: int, leaves: Sequence[bytes]) -> None:
    """Raises AuditCorrupt at the first line, from byte *start* on, that is not its leaf."""
    for leaf, (found, _) in zip(leaves, _lines(store, seq, start), strict=False):
        _verify_leaf(seq, found, leaf)
        seq += 1


def _verify_leaf(seq: int, found: bytes, signed: bytes) -> None:
    if found != signed:
        raise AuditCorrupt(f"Record {seq} of the audit log is not what was signed.")


def _lines(store: AuditStore, seq: int, start: int) -> Iterator[tuple[bytes, int]]:
    """The leaf hash and the length of each line from byte *start* on, where record *seq* begins.

    Raises AuditCorrupt where there is none, or one that is longer than any record.
    """
    rest = b""
    while True:
        piece = b"".join(store.chunks(start + len(rest) + PIECE, start + len(rest)))
        whole, newline, tail = (rest + piece).rpartition(b"\n")
        if not newline and (not piece or len(tail) > MAX_LINE_BYTES):
            raise AuditCorrupt(f"The audit log has no record {seq} any more, and it was signed.")
        for line in whole.split(b"\n") if newline else ():
            yield leaf_hash(line), len(line) + 1
            seq, start = seq + 1, start + len(line) + 1
        rest = tail
