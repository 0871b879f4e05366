"""Proofs made from the stored tree, each verified before it is used: its files may be damaged."""

from __future__ import annotations

from ...errors import VerificationFailed
from ..format.merkle import consistency_proof, inclusion_proof, root_at
from ..format.merkle_checks import verify_consistency, verify_inclusion
from ..format.note import Checkpoint
from .stored_tree import StoredTree


def proven_inclusion(tree: StoredTree, signed: Checkpoint, seq: int, leaf: bytes) -> list[bytes]:
    """The proof that *leaf* was signed as record *seq*. Raises VerificationFailed if it was not."""
    proof = inclusion_proof(seq, signed.size, tree.reader(signed.size))
    verify_inclusion(seq, signed.size, leaf, proof, signed.root)
    return proof


def verify_growth(tree: StoredTree, old: Checkpoint, size: int, root: bytes) -> None:
    """Raises VerificationFailed unless the log of *size* records and *root* begins with *old*."""
    proof = consistency_proof(old.size, size, tree.reader(size))
    verify_consistency(old.size, size, old.root, root, proof)


def has_root(tree: StoredTree, signed: Checkpoint) -> bool:
    """Whether the stored hashes give the signed root."""
    try:
        return root_at(signed.size, tree.reader(signed.size)) == signed.root
    except VerificationFailed:
        return False
