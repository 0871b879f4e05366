"""Receipts (C2SP tlog-proof): what is accepted, to the byte, and that nothing else is."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audit.format.merkle import Node, inclusion_proof, leaf_hash, root_of
from app.audit.format.note import sign_checkpoint
from app.audit.format.receipt import MAX_PROOF_BYTES, Proof, make_receipt, verify_receipt
from app.audit.format.record import Draft, line_of
from app.errors import VerificationFailed

from ....support.evidence import SIGNER, STAMP, Evidence
from ....support.tables import for_each

LOG = Evidence(7)
KEY = SIGNER.verifier_key
CHECKPOINT = LOG.checkpoint(7)
RECEIPT = LOG.receipt_file(4, 7)


def is_refused(data: bytes) -> bool:
    try:
        verify_receipt(data, KEY)
    except VerificationFailed:
        return True
    return False


def receipt_in(lines: list[bytes]) -> bytes:
    """The receipt of line 4 in the signed log of these lines."""
    leaves = [leaf_hash(line) for line in lines]

    def read(nodes: Sequence[Node]) -> list[bytes]:
        return [root_of(leaves[number << level : number + 1 << level]) for level, number in nodes]

    path = inclusion_proof(4, len(lines), read)
    return make_receipt(4, lines[4], path, sign_checkpoint(len(lines), root_of(leaves), SIGNER))


def test_a_receipt_has_these_exact_bytes() -> None:
    assert make_receipt(1, b"line", [bytes(32)], CHECKPOINT) == (
        b"c2sp.org/tlog-proof@v1\nextra bGluZQ==\nindex 1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n" + CHECKPOINT
    )
    assert Proof(0, (), CHECKPOINT).encode() == b"c2sp.org/tlog-proof@v1\nindex 0\n\n" + CHECKPOINT


@pytest.mark.parametrize("seq", range(7))
def test_a_receipt_proves_its_record_by_itself(seq: int) -> None:
    data = LOG.receipt_file(seq, 7)
    proven = verify_receipt(data, KEY)
    assert (proven.seq, proven.line, proven.checkpoint.size) == (seq, LOG.lines[seq], 7)
    assert Proof.parse(data).encode() == data


@given(st.integers(0, len(RECEIPT) * 8 - 1))
def test_a_receipt_with_any_bit_flipped_is_refused(bit: int) -> None:
    flipped = bytearray(RECEIPT)
    flipped[bit // 8] ^= 1 << bit % 8
    assert is_refused(bytes(flipped))


@given(st.integers(0, len(RECEIPT) - 1), st.binary(min_size=1, max_size=3))
def test_a_receipt_that_is_cut_or_stuffed_is_refused(at: int, more: bytes) -> None:
    assert is_refused(RECEIPT[:at])
    assert is_refused(RECEIPT[:at] + more + RECEIPT[at:])


def test_a_receipt_has_one_spelling() -> None:
    data = RECEIPT.decode()
    for line in data.split("\n")[1:6]:
        last = line[-2:-1]
        if line.endswith("=") and last != "=":
            loose = line[:-2] + chr(ord(last) + 1) + "="  # an unused bit set
            assert is_refused(data.replace(line, loose).encode())
    assert is_refused(data.replace("index 4", "index 04").encode())
    assert is_refused(data.replace("index 4\n", "index 4\n\n").encode())


@for_each(
    ("data", "reason"),
    [
        (b"x" * (MAX_PROOF_BYTES + 1), "it is too long"),
        (b"\xff\n\nx", "it is not text"),
        (b"c2sp.org/tlog-proof@v2\nindex 0\n\nx", "it is not c2sp.org/tlog-proof@v1"),
        (b"c2sp.org/tlog-proof@v1\nindex 0\n\n", "it is not c2sp.org/tlog-proof@v1"),
        (b"c2sp.org/tlog-proof@v1\n\nx", "it has no index"),
        (b"c2sp.org/tlog-proof@v1\nindex -1\n\nx", "it has no index"),
        (b"c2sp.org/tlog-proof@v1\nindex 9223372036854775808\n\nx", "it has no index"),
        (b"c2sp.org/tlog-proof@v1\nindex 0\nAA==\n\nx", "its hashes are not at most 64 of 32 bytes"),
        (b"c2sp.org/tlog-proof@v1\nindex 0\n" + (b"A" * 43 + b"=\n") * 65 + b"\nx", "its hashes are not"),
        (b"c2sp.org/tlog-proof@v1\nextra AB==\nindex 0\n\nx", "a line is not canonical base64"),
        (b"c2sp.org/tlog-proof@v1\nextra ?\nindex 0\n\nx", "a line is not base64"),
    ],
)
def test_a_file_that_is_no_proof_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(VerificationFailed, match=reason):
        Proof.parse(data)


def test_a_receipt_without_its_record_is_refused() -> None:
    with pytest.raises(VerificationFailed, match="it does not hold the record"):
        verify_receipt(Proof(4, (), CHECKPOINT).encode(), KEY)


def test_a_receipt_is_of_a_record_of_its_number_with_its_hash() -> None:
    assert verify_receipt(receipt_in(LOG.lines), KEY).seq == 4
    swapped = [*LOG.lines[:4], LOG.lines[5], LOG.lines[4], LOG.lines[6]]
    edited = [*LOG.lines[:4], LOG.lines[4].replace(b'"query":"4"', b'"query":"5"'), *LOG.lines[5:]]
    record = Draft("log.alive", None, b'{"n":\n1}', "0" * 32)
    with_newline = [*LOG.lines[:4], line_of(record, 4, STAMP, LOG.receipts[3].hash)[0][:-1], *LOG.lines[5:]]
    for lines in (swapped, edited, with_newline):
        with pytest.raises(VerificationFailed, match="not a record"):
            verify_receipt(receipt_in(lines), KEY)
