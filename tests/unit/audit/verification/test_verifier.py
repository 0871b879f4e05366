"""The verdicts on a log: what is right, up to which record, and against what."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import pytest

from app.audit.format.chain import link
from app.audit.format.merkle import RightEdge, leaf_hash
from app.audit.format.note import sign_checkpoint
from app.audit.format.record import EMPTY, draft, split_lines
from app.audit.storage.long_texts import LongTexts
from app.audit.verification.expected import ExpectedEvidence, read_checkpoint
from app.audit.verification.kept_texts import DamagedText, TextsReport
from app.audit.verification.report import MAX_FINDINGS, Report, Verdict
from app.audit.verification.verifier import NOTHING_EXPECTED, verify_log

from ....support.evidence import SIGNER, STAMP, Evidence, rehashed

LOG = Evidence(24, (9,))
KEY = SIGNER.verifier_key


def report(data: bytes, expected: ExpectedEvidence = NOTHING_EXPECTED, stored: Evidence | None = None) -> Report:
    """What is found in these bytes; *stored* is the log whose leaf hashes are kept beside it."""
    return verify_log(lambda: split_lines([data]), expected, fetch_tile=stored.fetch_leaves if stored else None)


def numbers(found: Report) -> list[int | None]:
    return [one.seq for one in found.findings]


FORGED = rehashed(LOG.lines, lambda line: line.replace(b'"query":"4"', b'"query":"5"'), 4)
CUT = b"".join(line + b"\n" for line in LOG.lines[:20])


# --- the verdicts --------------------------------------------------------------------------------


def test_a_sound_log_is_right_up_to_its_end_and_signed_as_far_as_given() -> None:
    found = report(LOG.data, ExpectedEvidence(LOG.receipts[:12], (LOG.expected(9), LOG.expected(24, given=False))))
    assert found.ok
    assert (found.entries, found.last_record) == (24, LOG.receipts[23])
    assert found.integrity == Verdict("ok", 23)
    assert found.signatures == Verdict("ok", 23)
    assert found.completeness == Verdict("ok", 11)


def test_what_nothing_was_given_for_is_not_checked() -> None:
    found = report(LOG.data)
    assert found.ok
    assert found.signatures == found.completeness == Verdict("not_checked", None)
    unsigned = read_checkpoint("kept", LOG.checkpoint(9), None, given=True)
    found = report(LOG.data, ExpectedEvidence(checkpoints=(unsigned,)))
    assert (found.signatures, found.completeness) == (Verdict("not_checked", None), Verdict("ok", 8))


def test_a_changed_record_fails_only_what_comes_from_it_on() -> None:
    broken = LOG.data.replace(b'"query":"15"', b'"query":"16"', 1)
    found = report(broken, ExpectedEvidence(LOG.receipts[3:4], (LOG.expected(9), LOG.expected(24, given=False))), LOG)
    assert found.integrity == Verdict("failed", 14)
    assert found.signatures == Verdict("failed", 8)
    assert found.completeness == Verdict("ok", 8)
    assert found.open_and_recovered.verdict == "not_checked"
    assert numbers(found) == [15, 15]
    assert report(LOG.data[1:]).integrity == Verdict("failed", None)
    assert report(broken, ExpectedEvidence(LOG.receipts[20:21])).completeness == Verdict("ok", None)  # it is there, after a break


def test_open_questions_and_recoveries_are_listed_and_no_problem() -> None:
    drafts = [draft("log.opened", None, {})] + [draft("ask.received", "alice", {"query": "?"}) for _ in range(3)]
    drafts += [draft("ask.answered", "alice", {"received": 2, "answer": "!"}), draft("log.recovered", None, {"bytes": 7})]
    found = report(link(drafts, EMPTY, STAMP)[0])
    assert found.ok
    assert (found.open, found.recovered, found.open_and_recovered) == ([1, 3], [5], Verdict("ok", 5))


def test_a_refused_checkpoint_fails_the_signatures_and_names_no_record() -> None:
    found = report(LOG.data, ExpectedEvidence(refused=("stolen proves nothing",)))
    assert (numbers(found), found.signatures, found.completeness.verdict) == ([None], Verdict("failed", None), "not_checked")


def test_a_last_line_without_its_newline_is_the_only_problem() -> None:
    found = report(LOG.data[:-1], ExpectedEvidence(checkpoints=(LOG.expected(24),)), LOG)
    assert (numbers(found), found.completeness) == ([23], Verdict("ok", 23))


def test_every_log_agrees_with_the_checkpoint_of_an_empty_one() -> None:
    assert report(LOG.data, ExpectedEvidence(checkpoints=(LOG.expected(0),))).completeness == Verdict("ok", None)
    wrong = read_checkpoint("empty", sign_checkpoint(0, bytes(32), SIGNER), KEY, given=True)
    found = report(LOG.data, ExpectedEvidence(checkpoints=(wrong,)))
    assert (numbers(found), found.completeness) == ([0], Verdict("failed", None))


def test_changed_long_texts_are_findings_and_others_are_counted(tmp_path: Path) -> None:
    contents = [b"long " * 20_000, b"more " * 20_000]
    data, _, _ = link([draft("ask.received", "alice", {"query": one.decode()}) for one in contents], EMPTY, STAMP)
    texts = LongTexts(tmp_path / "texts")
    names = [hashlib.sha256(one).hexdigest() for one in contents]
    texts.keep(dict(zip(names, contents, strict=True)))
    texts.path_of(names[1]).write_bytes(b"changed")
    found = verify_log(lambda: split_lines([data]), texts=texts)
    assert (found.ok, numbers(found)) == (False, [1])
    assert names[1] in found.findings[0].problem
    assert found.texts == TextsReport(kept=1, damaged=(DamagedText(1, names[1]),))
    assert (found.integrity, report(data).texts) == (Verdict("ok", 1), None)


def test_all_findings_are_counted_and_the_first_ones_listed() -> None:
    found = report(b"garbage\n" * 1000, ExpectedEvidence(LOG.receipts[:2], refused=("one proves nothing",)))
    assert (found.finding_count, numbers(found)) == (1003, list(range(MAX_FINDINGS)))
    found = report(LOG.data[1:], ExpectedEvidence(LOG.receipts[:2], (LOG.expected(9),), ("one proves nothing",)))
    assert (found.finding_count, numbers(found)) == (4, [0, 0, 8, None])


@pytest.mark.parametrize(("data", "reads"), [(LOG.data, 1), (FORGED, 2)], ids=["sound", "forged"])
def test_the_log_is_read_again_only_if_a_checkpoint_fails(data: bytes, reads: int) -> None:
    read: list[int] = []

    def read_lines() -> Iterable[bytes]:
        read.append(1)
        return split_lines([data])

    shown: list[int] = []
    expected = ExpectedEvidence(checkpoints=(LOG.expected(24),))
    verify_log(read_lines, expected, fetch_tile=LOG.fetch_leaves, progress=shown.append)
    assert (len(read), shown) == (reads, [len(data)])


# --- what a chain alone does not show ------------------------------------------------------------


def test_a_forgery_with_the_key_is_found_by_a_receipt_or_old_checkpoint() -> None:
    anew = Evidence(24, (9,))
    anew.lines = FORGED.split(b"\n")[:-1]
    edge = RightEdge()
    edge.extend(map(leaf_hash, anew.lines))
    anew.roots[24], anew.leaves = edge.root(), [leaf_hash(line) for line in anew.lines]
    own = anew.expected(24, given=False)
    assert report(FORGED, ExpectedEvidence(checkpoints=(own,)), anew).ok
    by_receipt = report(FORGED, ExpectedEvidence(LOG.receipts[17:18], (own,)), anew)
    assert (numbers(by_receipt), by_receipt.completeness) == ([17], Verdict("failed", None))
    by_head = report(FORGED, ExpectedEvidence(checkpoints=(LOG.expected(9), own)), anew)
    assert (numbers(by_head), by_head.completeness, by_head.signatures) == ([8], Verdict("failed", None), Verdict("ok", 23))


def test_a_forgery_without_the_key_is_found_and_its_record_named() -> None:
    own = ExpectedEvidence(checkpoints=(LOG.expected(24, given=False),))
    assert numbers(report(FORGED, own, LOG)) == [4]
    assert numbers(report(FORGED, own)) == [23]
    assert report(FORGED, own).signatures == Verdict("failed", None)
    assert report(FORGED, own).integrity == Verdict("ok", 23)


def test_a_cut_with_an_old_checkpoint_put_back_is_found_by_what_was_kept() -> None:
    back = Evidence(20)
    own = back.expected(20, given=False)
    assert report(CUT, ExpectedEvidence(checkpoints=(own,)), LOG).ok
    by_receipt = report(CUT, ExpectedEvidence(LOG.receipts[21:22], (own,)), LOG)
    assert (numbers(by_receipt), by_receipt.completeness) == ([21], Verdict("failed", None))
    assert "cut off" in by_receipt.findings[0].problem
    for stored, named in ((LOG, 20), (None, 23)):  # 20 is the first that is missing
        by_head = report(CUT, ExpectedEvidence(checkpoints=(LOG.expected(9), LOG.expected(24), own)), stored)
        assert (numbers(by_head), by_head.completeness, by_head.signatures) == ([named], Verdict("failed", 8), Verdict("ok", 19))
        assert "cut off" in by_head.findings[0].problem


def test_a_cut_below_the_logs_own_checkpoint_is_found_without_help() -> None:
    found = report(CUT, ExpectedEvidence(checkpoints=(LOG.expected(24, given=False),)), LOG)
    assert (numbers(found), found.signatures) == ([20], Verdict("failed", None))
