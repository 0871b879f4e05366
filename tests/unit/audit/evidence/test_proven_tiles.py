"""A tile of the stored tree is used only if it leads to the signed root."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.audit.evidence.proven_tiles import ProvenTiles
from app.audit.format.merkle import leaf_hash, root_of
from app.audit.format.note import Checkpoint
from app.audit.format.tiles import hashes_of
from app.errors import VerificationFailed

from ....support.evidence import KeptLog

RECORDS = 600
"""Two full tiles of leaves and a part of a third; their roots are in a partial tile above."""


@pytest.fixture
def kept(tmp_path: Path) -> KeptLog:
    kept = KeptLog(tmp_path)
    kept.add(RECORDS - 1)
    return kept


@pytest.fixture
def signed(kept: KeptLog) -> Checkpoint:
    return kept.signed().checkpoint


@pytest.mark.parametrize("keeps_partial", [False, True])
def test_each_tile_holds_the_hashes_of_its_records(kept: KeptLog, signed: Checkpoint, keeps_partial: bool) -> None:
    tiles, leaves = ProvenTiles(kept.tree, keeps_partial=keeps_partial), [leaf_hash(line) for line in kept.lines()]
    for index in (0, 1, 2, 1):
        assert hashes_of(tiles.tile(signed, 0, index)) == leaves[index * 256 : (index + 1) * 256]
    assert hashes_of(tiles.tile(signed, 1, 0)) == [root_of(leaves[:256]), root_of(leaves[256:512])]


@pytest.mark.parametrize(("name", "index"), [("hashes.0", 0), ("hashes.0", 1), ("hashes.1", 0), ("hashes.1", 1)])
def test_an_altered_hash_is_not_used(kept: KeptLog, signed: Checkpoint, name: str, index: int) -> None:
    path = kept.tree.folder / name
    data = bytearray(path.read_bytes())
    data[index * (256 * 32 if name == "hashes.0" else 32)] ^= 1
    path.write_bytes(data)
    with pytest.raises(VerificationFailed):
        ProvenTiles(kept.tree).tile(signed, 0, index)
