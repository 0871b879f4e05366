"""The tree against checkpoints, and which record a failed one points to."""

from __future__ import annotations

import pytest

from app.audit.format import merkle
from app.audit.format.chain import link
from app.audit.format.merkle import RightEdge, leaf_hash
from app.audit.format.note import sign_checkpoint
from app.audit.format.record import EMPTY, draft, split_lines
from app.audit.format.tiles import Tile
from app.audit.verification import tree_check
from app.audit.verification.expected import ExpectedCheckpoint, read_checkpoint
from app.audit.verification.tree_check import BATCH_LINES, TreeChecker, first_changed_records
from app.errors import AppError, EvidenceUnavailable, VerificationFailed

from ....support.evidence import SIGNER, STAMP, Evidence, rehashed

LOG = Evidence(24, (9,))
LINES = [line + b"\n" for line in LOG.lines]
FORGED = rehashed(LOG.lines, lambda line: line.replace(b'"query":"4"', b'"query":"5"'), 4)
AT_9, AT_24 = LOG.expected(9), LOG.expected(24)


def tree_of(lines: list[bytes], *checkpoints: ExpectedCheckpoint, batch: int = 100) -> TreeChecker:
    checker = TreeChecker(checkpoints)
    for at in range(0, len(lines), batch):
        checker.feed(lines[at : at + batch])
    return checker


@pytest.mark.parametrize("batch", [1, 2, 7, 8, 9, 10, 23, 24, 100])
def test_checkpoints_hold_however_the_lines_come(batch: int) -> None:
    expected = [AT_24, LOG.expected(0), AT_9, AT_9]
    assert tree_of(LINES, *expected, batch=batch).failed() == []
    assert tree_of(FORGED.splitlines(keepends=True), *expected, batch=batch).failed() == [AT_24, AT_9, AT_9]
    assert tree_of(LINES[:20], *expected, batch=batch).failed() == [AT_24]
    assert tree_of([], *expected, batch=batch).failed() == [AT_24, AT_9, AT_9]


def test_no_line_past_the_last_checkpoint_is_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[bytes] = []

    def leaf_hashes(lines: list[bytes]) -> list[bytes]:
        hashed.extend(lines)
        return merkle.leaf_hashes(lines)

    monkeypatch.setattr(tree_check, "leaf_hashes", leaf_hashes)
    assert (tree_of(LINES).failed(), hashed) == ([], [])
    assert (tree_of(LINES, AT_9).failed(), hashed) == ([], LINES[:9])


def test_the_empty_tree_has_one_root() -> None:
    wrong = read_checkpoint("empty", sign_checkpoint(0, bytes(32), SIGNER), SIGNER.verifier_key, given=True)
    assert tree_of(LINES, wrong, LOG.expected(0)).failed() == [wrong]


def test_a_last_line_has_the_same_leaf_with_and_without_its_newline() -> None:
    assert tree_of([*LINES[:-1], LOG.lines[-1]], AT_24).failed() == []


# --- the first changed record ----------------------------------------------------------------------


def test_the_stored_leaves_name_the_first_changed_record() -> None:
    assert first_changed_records(split_lines([FORGED]), [AT_24], LOG.fetch_leaves) == {AT_24: 4}
    assert first_changed_records(split_lines([FORGED]), [AT_24, AT_9], LOG.fetch_leaves) == {AT_9: 4, AT_24: 4}
    later = rehashed(LOG.lines, lambda line: line.replace(b'"15"', b'"16"'), 15)
    assert first_changed_records(split_lines([later]), [AT_9, AT_24], LOG.fetch_leaves) == {AT_24: 15}
    assert first_changed_records(LINES[:20], [AT_24], LOG.fetch_leaves) == {AT_24: 20}
    assert first_changed_records(LINES, [AT_24], LOG.fetch_leaves) == {}


def test_stored_leaves_that_were_not_signed_name_no_record() -> None:
    liar = Evidence(24, (9,))
    liar.leaves = [leaf_hash(line) for line in FORGED.split(b"\n")[:-1]]
    assert first_changed_records(split_lines([FORGED]), [AT_24], liar.fetch_leaves) == {}
    other = Evidence(24, text="other ")
    assert first_changed_records(split_lines([FORGED]), [AT_24], other.fetch_leaves) == {}


@pytest.mark.parametrize("error", [VerificationFailed, EvidenceUnavailable])
def test_leaves_that_cannot_be_read_name_no_record(error: type[AppError]) -> None:
    def fetch(tile: Tile) -> bytes:
        raise error()

    assert first_changed_records(split_lines([FORGED]), [AT_24], fetch) == {}


def test_the_first_changed_record_is_found_in_a_log_of_many_tiles() -> None:
    size = 2 * BATCH_LINES + 300
    data, _, _ = link([draft("log.alive", None, {"n": n}) for n in range(size)], EMPTY, STAMP)
    lines = list(split_lines([data]))
    leaves = [leaf_hash(line[:-1]) for line in lines]
    tree = RightEdge()
    tree.extend(leaves)
    signed = read_checkpoint("mine", sign_checkpoint(size, tree.root(), SIGNER), SIGNER.verifier_key, given=False)

    def fetch(tile: Tile) -> bytes:
        return b"".join(leaves[tile.index * 256 : tile.index * 256 + tile.width])

    for at in (0, 255, 256, BATCH_LINES - 1, BATCH_LINES, size - 1):
        changed = [*lines[:at], lines[at].replace(b"alive", b"dead"), *lines[at + 1 :]]
        assert first_changed_records(changed, [signed], fetch) == {signed: at}
