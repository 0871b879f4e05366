"""Proofs from the stored tree: right ones verify, and nothing else does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from app.audit.evidence.proofs import has_root, proven_inclusion, verify_growth
from app.audit.evidence.published import SignedCheckpoint
from app.audit.format.merkle import leaf_hash
from app.audit.format.merkle_checks import verify_inclusion
from app.errors import VerificationFailed

from ....support.evidence import KeptLog


@pytest.fixture
def kept(tmp_path: Path) -> KeptLog:
    return KeptLog(tmp_path)


@pytest.fixture
def signed(kept: KeptLog) -> list[SignedCheckpoint]:
    return kept.add_signed(3, 252, 44)


def damage(kept: KeptLog) -> None:
    path = kept.tree.folder / "hashes.0"
    path.write_bytes(path.read_bytes()[:-32] + bytes(32))


def test_every_record_of_every_checkpoint_is_proven(kept: KeptLog, signed: list[SignedCheckpoint]) -> None:
    leaves = [leaf_hash(line) for line in kept.lines()]
    for one in signed:
        for seq in {0, 3, one.size - 1}:
            proof = proven_inclusion(kept.tree, one.checkpoint, seq, leaves[seq])
            verify_inclusion(seq, one.size, leaves[seq], proof, one.checkpoint.root)


def test_another_leaf_or_place_is_not_proven(kept: KeptLog, signed: list[SignedCheckpoint]) -> None:
    leaf = leaf_hash(kept.lines()[2])
    for seq, other in ((2, bytes(32)), (3, leaf)):
        with pytest.raises(VerificationFailed):
            proven_inclusion(kept.tree, signed[-1].checkpoint, seq, other)


def test_a_log_that_grew_is_proven_and_another_root_is_not(kept: KeptLog, signed: list[SignedCheckpoint]) -> None:
    for old in signed:
        for new in signed[signed.index(old) :]:
            verify_growth(kept.tree, old.checkpoint, new.size, new.checkpoint.root)
    first, last = signed[0].checkpoint, signed[-1]
    for wrong, root in ((first, bytes(32)), (replace(first, root=bytes(32)), last.checkpoint.root)):
        with pytest.raises(VerificationFailed):
            verify_growth(kept.tree, wrong, last.size, root)


def test_a_damaged_or_missing_tree_has_no_signed_root(kept: KeptLog, signed: list[SignedCheckpoint]) -> None:
    assert all(has_root(kept.tree, one.checkpoint) for one in signed)
    damage(kept)
    assert [has_root(kept.tree, one.checkpoint) for one in signed] == [True, True, False]
    with pytest.raises(VerificationFailed):
        proven_inclusion(kept.tree, signed[-1].checkpoint, 256, leaf_hash(kept.lines()[256]))
    (kept.tree.folder / "hashes.0").unlink()
    assert not has_root(kept.tree, signed[0].checkpoint)
