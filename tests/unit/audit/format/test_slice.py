"""The proof of a slice: its exact bytes, and that nothing else is accepted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audit.format.merkle import RightEdge, root_of
from app.audit.format.record import GENESIS_HASH
from app.audit.format.slice import SliceProof
from app.errors import VerificationFailed

from ....support.evidence import Evidence

LOG = Evidence(24, (9,))


def proof_of(first: int) -> SliceProof:
    edge = RightEdge()
    edge.extend(LOG.leaves[:first])
    prev_hash = LOG.receipts[first - 1].hash if first else GENESIS_HASH
    return SliceProof(first, prev_hash, tuple(edge.peaks()), LOG.checkpoint(24))


def test_a_proof_has_these_exact_bytes() -> None:
    proof = SliceProof(5, "ab" * 32, (b"\x01" * 32, b"\x02" * 32), b"checkpoint\n")
    assert proof.encode().decode() == (
        "secure-ai-assistant/slice@v1\nfirst 5\nprev_hash " + "ab" * 32 + "\n"
        "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\nAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\n\ncheckpoint\n"
    )


@given(st.integers(0, 24))
def test_a_proof_is_read_back_and_its_tree_grows_to_the_root(first: int) -> None:
    proof = SliceProof.parse(proof_of(first).encode())
    assert proof == proof_of(first)
    tree = proof.tree()
    tree.extend(LOG.leaves[first:])
    assert (tree.size, tree.root()) == (24, root_of(LOG.leaves))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"slice@v1", b"slice@v2"),
        (b"first 9", b"first 09"),
        (b"first 9", b"first 8"),
        (b"first 9", b"first 11"),
        (b"first 9", b"first " + b"9" * 17),
        (b"prev_hash ", b"prev_hash  "),
        (b"prev_hash ", b"prev_hash x"),
        (b"\n\n", b"\n"),
        (b"=\n", b"\n"),
        (b"first", b"f\xc3\xbcrst"),
    ],
)
def test_any_other_form_is_refused(old: bytes, new: bytes) -> None:
    with pytest.raises(VerificationFailed, match="not the proof of a slice"):
        SliceProof.parse(proof_of(9).encode().replace(old, new, 1))


def test_nothing_comes_before_the_first_record() -> None:
    with pytest.raises(VerificationFailed):
        SliceProof.parse(proof_of(0).encode().replace(b"prev_hash 0", b"prev_hash 1"))
