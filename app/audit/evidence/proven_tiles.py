"""Tiles of the stored tree, each proven by the signed root before it is used."""

from __future__ import annotations

from ...errors import VerificationFailed
from ..format.merkle import HASH_BYTES, root_of
from ..format.note import Checkpoint
from ..format.tiles import HEIGHT, WIDTH, Tile, hashes_of
from .proofs import has_root
from .stored_tree import StoredTree


class ProvenTiles:
    """Keeps the last full tile of each level above the leaves: neighbours share their parents."""

    def __init__(self, tree: StoredTree, *, keeps_partial: bool = False) -> None:
        """*keeps_partial*: also a tile that is not full. For one walk through one signed tree."""
        self._tree, self._keeps_partial = tree, keeps_partial
        self._kept: dict[int, tuple[int, bytes]] = {}

    def tile(self, signed: Checkpoint, level: int, index: int) -> bytes:
        """The widest tile here that is signed. Raises VerificationFailed if it is not proven."""
        kept = self._kept.get(level)
        if kept is not None and kept[0] == index:
            return kept[1]
        width = min(WIDTH, (signed.size >> HEIGHT * level) - index * WIDTH)
        data = self._tree.fetch(Tile(level, index, width))
        if width == WIDTH:  # its root is a hash of the tile above
            start = index % WIDTH * HASH_BYTES
            is_proven = root_of(hashes_of(data)) == self.tile(signed, level + 1, index // WIDTH)[start : start + HASH_BYTES]
        else:  # the signed root is made from all of its hashes
            is_proven = has_root(self._tree, signed)
        if not is_proven:
            raise VerificationFailed("The stored tile does not lead to the signed root.")
        if level and (width == WIDTH or self._keeps_partial):
            self._kept[level] = (index, data)
        return data
