"""Whether the Merkle tree over the log has the root that each checkpoint names, at its size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice, zip_longest

from ...errors import EvidenceUnavailable, VerificationFailed
from ..format.merkle import RightEdge, leaf_hashes
from ..format.tiles import WIDTH, Tile, hashes_of
from .expected import ExpectedCheckpoint

FetchTile = Callable[[Tile], bytes]
"""Reads a whole tile of the stored hashes. Raises VerificationFailed or EvidenceUnavailable."""
BATCH_LINES = 16 * WIDTH
"""Lines that are read and hashed together: whole tiles."""


class TreeChecker:
    """Builds the tree over lines that come in batches, as far as the largest checkpoint goes."""

    def __init__(self, checkpoints: Sequence[ExpectedCheckpoint]) -> None:
        self._checkpoints = checkpoints
        self._roots: dict[int, bytes] = {}
        self._tree = RightEdge()
        self._sizes = sorted({one.size for one in checkpoints}, reverse=True)  # the next one is last
        self._note_root()

    def feed(self, lines: Sequence[bytes]) -> None:
        """Add the next lines, each with its newline."""
        while self._sizes and lines:
            to_next_size = self._sizes[-1] - self._tree.size
            self._tree.extend(leaf_hashes(lines[:to_next_size]))
            self._note_root()
            lines = lines[to_next_size:]

    def _note_root(self) -> None:
        if self._sizes and self._sizes[-1] == self._tree.size:
            self._roots[self._sizes.pop()] = self._tree.root()

    def failed(self) -> list[ExpectedCheckpoint]:
        """The checkpoints that the log does not agree with, after all lines were fed."""
        return [one for one in self._checkpoints if self._roots.get(one.size) != one.root]


def first_changed_records(
    lines: Iterable[bytes], failed: Iterable[ExpectedCheckpoint], fetch: FetchTile
) -> Mapping[ExpectedCheckpoint, int]:
    """For failed checkpoints: the first record whose line does not give its stored leaf hash.

    *lines* is the whole log, *fetch* reads the hashes that are stored beside it. They count only if
    they give the checkpoint's root. A checkpoint is left out if they do not, or cannot be read.
    """
    by_size = sorted(failed, key=lambda one: one.size)
    changed: dict[ExpectedCheckpoint, int] = {}
    first_change: int | None = None
    lines, stored_leaves, stored_tree = iter(lines), _stored_leaves(by_size[-1].size, fetch), RightEdge()
    try:
        for checkpoint in by_size:
            while stored_tree.size < checkpoint.size:
                stored = list(islice(stored_leaves, min(BATCH_LINES, checkpoint.size - stored_tree.size)))
                if first_change is None:
                    actual = leaf_hashes(islice(lines, len(stored)))
                    first_change = _first_difference(stored, actual, stored_tree.size)
                stored_tree.extend(stored)
            if first_change is not None and stored_tree.root() == checkpoint.root:
                changed[checkpoint] = first_change
    except (VerificationFailed, EvidenceUnavailable):
        pass  # fewer hashes are stored, or the folder cannot be read
    return changed


def _first_difference(stored: Sequence[bytes], actual: Sequence[bytes], first_seq: int) -> int | None:
    pairs = enumerate(zip_longest(stored, actual), first_seq)
    return next((seq for seq, (one, other) in pairs if one != other), None)


def _stored_leaves(size: int, fetch: FetchTile) -> Iterator[bytes]:
    for start in range(0, size, WIDTH):
        yield from hashes_of(fetch(Tile(0, start // WIDTH, min(WIDTH, size - start))))
