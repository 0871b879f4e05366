"""The tree over the log's lines: what the RFCs say, on vectors from elsewhere and on random trees."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audit.format.merkle import (
    EMPTY_ROOT,
    HashReader,
    Node,
    RightEdge,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_at,
    root_of,
)
from app.audit.format.merkle_checks import verify_consistency, verify_inclusion
from app.errors import VerificationFailed

from ....support.paths import CORPORA
from ....support.tables import for_each

CORPUS = CORPORA / "merkle"
SIZES = st.integers(1, 600)
LEAVES = [leaf_hash(b"%d" % number) for number in range(1200)]


def tree_hash(leaves: Sequence[bytes]) -> bytes:
    """MTH of RFC 9162, section 2.1.1, word for word."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + tree_hash(leaves[:k]) + tree_hash(leaves[k:])).digest()


ROOTS = {size: tree_hash(LEAVES[:size]) for size in (*range(66), *range(255, 260), *range(511, 515), 1200)}


def reader_over(leaves: Sequence[bytes]) -> HashReader:
    def read(nodes: Sequence[Node]) -> list[bytes]:
        assert all(number + 1 << level <= len(leaves) for level, number in nodes), "a node that is not whole yet"
        return [root_of(leaves[number << level : number + 1 << level]) for level, number in nodes]

    return read


def vectors(kind: str) -> list[Any]:
    files = sorted((CORPUS / kind).glob("*/*.json"))
    assert files, "the vectors are missing"
    return [pytest.param(json.loads(file.read_bytes()), id=f"{file.parent.name}-{file.stem}") for file in files]


def unpacked(texts: list[str] | None) -> list[bytes]:
    return [base64.b64decode(text) for text in texts or ()]


def proves(check: Callable[..., None], *evidence: Any) -> bool:
    try:
        check(*evidence)
    except VerificationFailed:
        return False
    return True


@for_each("case", vectors("inclusion"))
def test_inclusion_proofs_of_another_implementation_are_judged_as_there(case: dict[str, Any]) -> None:
    leaf, root = unpacked([case["leafHash"], case["root"]])
    assert proves(verify_inclusion, case["leafIdx"], case["treeSize"], leaf, unpacked(case["proof"]), root) != case["wantErr"]


@for_each("case", vectors("consistency"))
def test_consistency_proofs_of_another_implementation_are_judged_as_there(case: dict[str, Any]) -> None:
    roots = unpacked([case["root1"], case["root2"]])
    assert proves(verify_consistency, case["size1"], case["size2"], *roots, unpacked(case["proof"])) != case["wantErr"]


def test_the_hashes_are_those_of_the_rfc() -> None:
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert leaf_hash(b"L123456").hex() == "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"
    assert node_hash(b"N123", b"N456").hex() == "aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb"


@for_each("size", sorted(ROOTS))
def test_the_root_is_the_recursion_of_the_rfc(size: int) -> None:
    assert root_of(LEAVES[:size]) == ROOTS[size] == root_at(size, reader_over(LEAVES[:size]))


@given(st.lists(st.integers(0, 300), max_size=4))
def test_a_tree_that_grows_in_pieces_is_the_tree_built_at_once(pieces: list[int]) -> None:
    edge = RightEdge()
    for piece in pieces:
        edge.extend(LEAVES[edge.size : edge.size + piece])
        assert edge.root() == root_of(LEAVES[: edge.size])


@given(SIZES, st.data())
def test_every_inclusion_proof_proves_its_leaf_and_no_other(size: int, data: st.DataObject) -> None:
    index, other = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size))
    read, root = reader_over(LEAVES[:size]), root_of(LEAVES[:size])
    proof = inclusion_proof(index, size, read)
    verify_inclusion(index, size, LEAVES[index], proof, root)
    assert proves(verify_inclusion, other, size, LEAVES[index], proof, root) == (other == index)
    assert not proves(verify_inclusion, index, size, leaf_hash(b"another"), proof, root)
    for changed in changes_of(proof, data):
        assert not proves(verify_inclusion, index, size, LEAVES[index], changed, root)


@given(SIZES, st.integers(0, 600), st.data())
def test_every_consistency_proof_proves_that_growth_and_no_other(old: int, more: int, data: st.DataObject) -> None:
    new = old + more
    roots = root_of(LEAVES[:old]), root_of(LEAVES[:new])
    proof = consistency_proof(old, new, reader_over(LEAVES[:new]))
    verify_consistency(old, new, *roots, proof)
    rewritten = root_of([leaf_hash(b"another"), *LEAVES[1:old]])
    assert not proves(verify_consistency, old, new, rewritten, roots[1], proof)
    assert not proves(verify_consistency, old, new, roots[0], rewritten, proof)
    for changed in changes_of(proof, data):
        assert not proves(verify_consistency, old, new, *roots, changed)


def changes_of(proof: list[bytes], data: st.DataObject) -> list[list[bytes]]:
    """The proof with a bit flipped, a hash less, a hash more, a hash cut short, and in another order."""
    at = data.draw(st.integers(0, len(proof)))
    changed = [[*proof[:at], LEAVES[0], *proof[at:]], [*proof, bytes(32)]]
    if at < len(proof):
        bit = data.draw(st.integers(0, 255))
        flipped = (int.from_bytes(proof[at], "big") ^ 1 << bit).to_bytes(32, "big")
        changed += [[*proof[:at], flipped, *proof[at + 1 :]], [*proof[:at], *proof[at + 1 :]]]
        changed += [[*proof[:at], proof[at][:-1], *proof[at + 1 :]]]
    return changed if len(proof) < 2 else [*changed, proof[::-1]]


def test_a_proof_with_hashes_past_the_root_is_refused_even_if_it_fits() -> None:
    more, root, larger = LEAVES[9], ROOTS[3], node_hash(LEAVES[9], ROOTS[3])
    path = inclusion_proof(1, 3, reader_over(LEAVES[:3]))
    verify_inclusion(1, 3, LEAVES[1], path, root)
    assert not proves(verify_inclusion, 1, 3, LEAVES[1], [*path, more], larger)
    grown = consistency_proof(3, 4, reader_over(LEAVES[:4]))
    verify_consistency(3, 4, root, ROOTS[4], grown)
    assert not proves(verify_consistency, 3, 4, larger, node_hash(more, ROOTS[4]), [*grown, more])


def test_hashes_of_other_lengths_are_refused_even_if_joined_they_are_right() -> None:
    left, right = LEAVES[:2]
    verify_inclusion(0, 2, left, [right], ROOTS[2])
    assert not proves(verify_inclusion, 0, 2, left[:31], [left[31:] + right], ROOTS[2])
    longer = left + right
    assert not proves(verify_consistency, 1, 2, longer[:33], node_hash(left, right), [longer[33:]])


def test_an_empty_log_is_the_beginning_of_every_log() -> None:
    assert consistency_proof(0, 9, reader_over(LEAVES[:9])) == []
    verify_consistency(0, 9, EMPTY_ROOT, ROOTS[9], [])
    assert not proves(verify_consistency, 0, 9, ROOTS[1], ROOTS[9], [])
    assert not proves(verify_consistency, 0, 9, EMPTY_ROOT, ROOTS[9], [ROOTS[9]])


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0), (0, 2**63), (2**64, 2**65)])
def test_places_outside_the_tree_are_neither_proven_nor_verified(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="must be from 0"):
        inclusion_proof(index, size, reader_over(LEAVES))
    assert not proves(verify_inclusion, index, size, LEAVES[0], [], LEAVES[0])


@pytest.mark.parametrize(("old", "new"), [(-1, 3), (4, 3), (0, -1), (1, 2**63)])
def test_sizes_that_do_not_grow_are_neither_proven_nor_verified(old: int, new: int) -> None:
    with pytest.raises(ValueError, match="must be from 0"):
        consistency_proof(old, new, reader_over(LEAVES))
    assert not proves(verify_consistency, old, new, LEAVES[0], LEAVES[0], [])


def test_a_proof_needs_a_logarithm_of_nodes_in_one_call() -> None:
    asked: list[int] = []

    def read(nodes: Sequence[Node]) -> list[bytes]:
        asked.append(len(nodes))
        return [bytes(32)] * len(nodes)

    inclusion_proof(1_234_567, 10_000_000, read)
    consistency_proof(1_234_567, 10_000_000, read)
    assert len(asked) == 2
    assert max(asked) <= 48


def test_a_reader_that_gives_too_little_is_an_error_and_no_proof() -> None:
    with pytest.raises(ValueError, match="one hash for each node"):
        inclusion_proof(1, 5, lambda nodes: [bytes(32)] * (len(nodes) - 1))
    with pytest.raises(ValueError, match="one hash for each node"):
        inclusion_proof(1, 5, lambda nodes: [bytes(31)] * len(nodes))
