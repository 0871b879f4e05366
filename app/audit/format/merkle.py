"""The Merkle tree over the log's lines (RFC 6962, RFC 9162 section 2.1): root, and proofs made.

Proofs are lists of 32-byte hashes. To make one, single nodes are read through a `HashReader`: a log
of ten million records needs a few dozen reads and no recomputation. `tiles.py` has such a reader.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

HASH_BYTES = 32
MAX_SIZE = 2**63 - 1
"""Most leaves of a tree: what a signed 64-bit integer holds, as in other implementations."""
EMPTY_ROOT = hashlib.sha256(b"").digest()


class Node(NamedTuple):
    """The root of the whole subtree over leaves [number << level, (number + 1) << level)."""

    level: int
    number: int


HashReader = Callable[[Sequence[Node]], Sequence[bytes]]
"""Returns the hash of each given node, in that order. One proof makes one call."""


def leaf_hash(entry: bytes) -> bytes:
    """*entry*: a stored line without its newline."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class RightEdge:
    """The few hashes that a tree needs to grow: one for each set bit of its size ("compact range").

    Appending a leaf costs O(1) hashes; memory is O(log n).
    """

    __slots__ = ("_peaks", "size")

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes | None] = []  # by level; None where the size has no such bit

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Raises ValueError, and changes nothing, for a bad hash or more than MAX_SIZE leaves."""
        row = list(leaves)
        if not all(len(leaf) == HASH_BYTES for leaf in row):
            raise ValueError("a leaf hash has 32 bytes")
        size = self.size + _checked(len(row), MAX_SIZE - self.size, "the number of leaves")
        level = 0
        while row:
            if level == len(self._peaks):
                self._peaks.append(None)
            peak = self._peaks[level]
            if peak is not None:
                row.insert(0, peak)
            self._peaks[level] = row[-1] if len(row) % 2 else None
            row = _pairs(row)
            level += 1
        self.size = size

    def peaks(self) -> list[bytes]:
        """The hashes of the whole subtrees, from left to right: all that is needed to go on."""
        return [peak for peak in reversed(self._peaks) if peak is not None]

    @classmethod
    def resumed(cls, size: int, peaks: Sequence[bytes]) -> RightEdge:
        """The edge of a tree of *size* leaves with these `peaks`. Raises ValueError."""
        if size.bit_count() != len(peaks) or not all(len(peak) == HASH_BYTES for peak in peaks):
            raise ValueError("a tree has one hash of 32 bytes for each bit of its size")
        edge, left = cls(), list(peaks)
        edge.size = _checked(size, MAX_SIZE, "the size")
        edge._peaks = [left.pop() if size >> level & 1 else None for level in range(size.bit_length())]
        return edge

    def root(self) -> bytes:
        return _fold(self.peaks())


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root over these leaf hashes, from the start."""
    edge = RightEdge()
    edge.extend(leaves)
    return edge.root()


def root_at(size: int, read: HashReader) -> bytes:
    return _hashes_of([(0, _checked(size, MAX_SIZE, "the size"))], read)[0]


# --- making proofs -----------------------------------------------------------------------------


def inclusion_proof(index: int, size: int, read: HashReader) -> list[bytes]:
    """PATH(index, D[0:size]), RFC 9162, section 2.1.3.1: the siblings from the leaf up."""
    _checked(size, MAX_SIZE, "the size")
    _checked(index, size - 1, "the index")
    ranges: list[tuple[int, int]] = []
    start, end = 0, size
    while end - start > 1:
        middle = _split(start, end)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    return _hashes_of(ranges[::-1], read)


def consistency_proof(old: int, new: int, read: HashReader) -> list[bytes]:
    """PROOF(old, D[0:new]), RFC 9162, section 2.1.4.1. Empty if *old* is 0 or *new*."""
    _checked(new, MAX_SIZE, "the new size")
    _checked(old, new, "the old size")
    if old == 0:
        return []
    ranges: list[tuple[int, int]] = []
    start, end = 0, new
    while end != old:
        middle = _split(start, end)
        if old <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    if start:  # else what remains is the old tree, whose root the verifier has
        ranges.append((start, end))
    return _hashes_of(ranges[::-1], read)


def nodes_of(start: int, end: int) -> list[Node]:
    """The whole subtrees that make up leaves [start, end), from left to right.

    *start* is 0 or a place where RFC 6962 splits a tree.
    """
    nodes = []
    while start < end:
        level = (end - start).bit_length() - 1
        nodes.append(Node(level, start >> level))
        start += 1 << level
    return nodes


def _hashes_of(ranges: Sequence[tuple[int, int]], read: HashReader) -> list[bytes]:
    """The tree hash of each range of leaves, by one call of *read*."""
    split = [nodes_of(start, end) for start, end in ranges]
    wanted = [node for nodes in split for node in nodes]
    found = read(wanted) if wanted else ()
    if len(found) != len(wanted) or not all(len(one) == HASH_BYTES for one in found):
        raise ValueError("the reader did not give one hash for each node")
    hashes = iter(found)
    return [_fold([next(hashes) for _ in nodes]) for nodes in split]


# --- arithmetic --------------------------------------------------------------------------------


def _split(start: int, end: int) -> int:
    """Where RFC 6962 splits a tree: the left side is the largest power of two below its size."""
    return start + (1 << (end - start - 1).bit_length() - 1)


def _pairs(row: Sequence[bytes]) -> list[bytes]:
    """The row above: each pair of hashes is joined, and an odd last one is left out."""
    sha256 = hashlib.sha256
    return [sha256(b"\x01" + left + right).digest() for left, right in zip(row[::2], row[1::2], strict=False)]


def _fold(hashes: Sequence[bytes]) -> bytes:
    """The root of a tree from its whole subtrees, from left to right."""
    if not hashes:
        return EMPTY_ROOT
    root = hashes[-1]
    for left in reversed(hashes[:-1]):
        root = node_hash(left, root)
    return root


def _checked(number: int, largest: int, what: str) -> int:
    if not 0 <= number <= largest:
        raise ValueError(f"{what} is {number}, and must be from 0 to {largest}")
    return number


def leaf_hashes(lines: Iterable[bytes]) -> list[bytes]:
    """`leaf_hash` of stored lines with their newlines, without a call for each."""
    sha256 = hashlib.sha256
    return [sha256(b"\x00" + line.removesuffix(b"\n")).digest() for line in lines]
