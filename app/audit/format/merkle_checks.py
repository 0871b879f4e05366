"""Checks proofs of the Merkle tree (RFC 9162, section 2.1): each raises, or returns nothing."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import VerificationFailed
from .merkle import EMPTY_ROOT, HASH_BYTES, MAX_SIZE, node_hash

MAX_PROOF_HASHES = 64


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """That *leaf* (a leaf hash) is leaf *index* of the tree of *size* leaves and this *root*.

    RFC 9162, section 2.1.3.2.
    """
    if not 0 <= index < size <= MAX_SIZE:
        raise VerificationFailed(f"There is no record {index} in a log of {size} records.")
    _check_hashes((leaf, root, *proof))
    fn, sn, computed = index, size - 1, leaf
    for sibling in proof:
        if sn == 0:
            raise VerificationFailed("The inclusion proof has too many hashes.")
        if fn & 1 or fn == sn:
            computed = node_hash(sibling, computed)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            computed = node_hash(computed, sibling)
        fn, sn = fn >> 1, sn >> 1
    if sn:
        raise VerificationFailed("The inclusion proof has too few hashes.")
    if computed != root:
        raise VerificationFailed(f"The inclusion proof does not lead from record {index} to the signed root.")


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    """That the tree of *new* leaves begins with that of *old* ones (RFC 9162, section 2.1.4.2)."""
    if not 0 <= old <= new <= MAX_SIZE:
        raise VerificationFailed(f"A log of {new} records cannot have grown from one of {old}.")
    _check_hashes((old_root, new_root, *proof))
    if old in (0, new):  # the RFC leaves both out: nothing, or the same
        if proof:
            raise VerificationFailed("The consistency proof has too many hashes.")
        if old_root != (new_root if old == new else EMPTY_ROOT):
            raise VerificationFailed(f"Two different roots for a log of {old} records.")
        return
    if not proof:
        raise VerificationFailed("The consistency proof has too few hashes.")
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    first = second = path[0]
    for sibling in path[1:]:
        if sn == 0:
            raise VerificationFailed("The consistency proof has too many hashes.")
        if fn & 1 or fn == sn:
            first, second = node_hash(sibling, first), node_hash(sibling, second)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            second = node_hash(second, sibling)
        fn, sn = fn >> 1, sn >> 1
    if sn:
        raise VerificationFailed("The consistency proof has too few hashes.")
    if (first, second) != (old_root, new_root):
        raise VerificationFailed(f"The log of {new} records does not begin with the log of {old} records.")


def _check_hashes(hashes: Sequence[bytes]) -> None:
    if len(hashes) > MAX_PROOF_HASHES + 2 or not all(len(one) == HASH_BYTES for one in hashes):
        raise VerificationFailed(f"A proof is at most {MAX_PROOF_HASHES} hashes of {HASH_BYTES} bytes.")
