"""A part of the log is what was signed, or the place where it is not is named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audit.format.merkle import RightEdge
from app.audit.format.note import sign_checkpoint
from app.audit.format.record import GENESIS_HASH
from app.audit.format.slice import SliceProof
from app.audit.verification.slice_check import verify_slice
from app.errors import VerificationFailed

from ....support.evidence import OTHER_SIGNER, SIGNER, Evidence, rehashed

LOG = Evidence(24, (9,))
KEY = SIGNER.verifier_key
LINES = [line + b"\n" for line in LOG.lines]
HASHES = [leaf.hex().encode() + b"\n" for leaf in LOG.leaves]


def proof_of(first: int, checkpoint: bytes | None = None) -> SliceProof:
    edge = RightEdge()
    edge.extend(LOG.leaves[:first])
    prev_hash = LOG.receipts[first - 1].hash if first else GENESIS_HASH
    return SliceProof(first, prev_hash, tuple(edge.peaks()), checkpoint or LOG.checkpoint(24))


def places(first: int, lines: list[bytes]) -> list[int | None]:
    return [one.seq for one in verify_slice(lines, proof_of(first), KEY).findings]


@given(st.integers(0, 23), st.sets(st.integers(0, 23)))
def test_a_part_is_sound_whichever_records_are_withheld(first: int, hidden: set[int]) -> None:
    lines = [HASHES[seq] if seq in hidden else LINES[seq] for seq in range(first, 24)]
    report = verify_slice(lines, proof_of(first), KEY)
    whole = [seq for seq in range(first, 24) if seq not in hidden]
    assert (report.ok, report.first, report.entries, report.signed) == (True, first, 24 - first, True)
    assert report.withheld == 24 - first - len(whole)
    assert report.last_record == (LOG.receipts[whole[-1]] if whole else None)


@given(st.integers(0, 23), st.data())
def test_any_flipped_bit_is_found(first: int, data: st.DataObject) -> None:
    lines = [HASHES[seq] if data.draw(st.booleans()) else LINES[seq] for seq in range(first, 24)]
    at = data.draw(st.integers(0, len(lines) - 1))
    bit = data.draw(st.integers(0, len(lines[at]) * 8 - 1))
    changed = bytearray(lines[at])
    changed[bit // 8] ^= 1 << bit % 8
    found = verify_slice([*lines[:at], bytes(changed), *lines[at + 1 :]], proof_of(first), KEY)
    assert not found.ok


def test_the_place_of_a_change_is_named() -> None:
    changed = [*LINES[9:12], LINES[12].replace(b'"12"', b'"13"'), *LINES[13:]]
    assert places(9, changed) == [12, 23]
    assert places(9, [*LINES[9:12], *LINES[13:]])[0] == 12
    assert places(9, LINES[9:20]) == [23]
    assert places(9, LINES[10:])[0] == 9
    assert places(9, [*HASHES[9:12], *HASHES[13:]]) == [23]


def test_a_part_that_was_written_anew_is_found_by_its_root() -> None:
    forged = rehashed(LOG.lines, lambda line: line.replace(b'"12"', b'"13"'), 12).splitlines(keepends=True)
    assert places(9, forged[9:]) == [23]


def test_records_after_the_checkpoint_are_no_problem() -> None:
    report = verify_slice(LINES[3:], proof_of(3, LOG.checkpoint(9)), KEY)
    assert (report.ok, report.entries, report.checkpoint.size) == (True, 21, 9)


def test_without_a_key_it_is_not_called_signed() -> None:
    assert verify_slice(LINES[9:], proof_of(9), None).signed is False


def test_a_checkpoint_of_another_key_proves_nothing() -> None:
    stolen = sign_checkpoint(24, LOG.roots[24], OTHER_SIGNER)
    with pytest.raises(VerificationFailed):
        verify_slice(LINES[9:], proof_of(9, stolen), KEY)
