"""Receipts whose record is there, gone or another."""

from __future__ import annotations

from app.audit.format.chain import link
from app.audit.format.record import EMPTY, Receipt, draft
from app.audit.verification.chain_check import ChainChecker, ChainReport
from app.audit.verification.receipt_check import missing_receipts, receipt_findings
from app.audit.verification.report import Finding

from ....support.evidence import STAMP, Evidence

LOG = Evidence(24)
LINES = [line + b"\n" for line in LOG.lines]
REWRITTEN = "this is not the record that a receipt names: the log was rewritten"
CUT_OFF = "a receipt names this record, and the log does not have it: its end was cut off"
GONE = "a receipt names this record, and the log does not have it"


def chain_of(lines: list[bytes], receipts: list[Receipt]) -> ChainReport:
    checker = ChainChecker(one.seq for one in receipts)
    checker.feed(lines)
    return checker.report()


def found(lines: list[bytes], receipts: list[Receipt]) -> list[Finding]:
    chain = chain_of(lines, receipts)
    return receipt_findings(missing_receipts(receipts, chain), chain)


def test_receipts_of_a_sound_log_hold() -> None:
    assert found(LINES, LOG.receipts) == []


def test_a_missing_last_record_was_cut_off() -> None:
    assert found(LINES[:-1], LOG.receipts) == [Finding(23, CUT_OFF)]


def test_every_receipt_of_a_rewritten_tail_is_missed() -> None:
    forged, _, _ = link([draft("ask.received", "mallory", {})] * 24, EMPTY, STAMP)
    lines = [*LINES[:9], *forged.splitlines(keepends=True)[9:]]
    assert found(lines, LOG.receipts) == [Finding(seq, REWRITTEN) for seq in range(9, 24)]


def test_two_receipts_for_one_record_cannot_both_hold() -> None:
    lie = Receipt(3, "0" * 64)
    receipts = [LOG.receipts[3], lie]
    assert missing_receipts(receipts, chain_of(LINES, receipts)) == [lie]
    assert found(LINES, receipts) == [Finding(3, REWRITTEN)]


def test_a_receipt_of_a_broken_line_is_not_called_cut_off() -> None:
    assert found([*LINES[:3], b"broken\n", *LINES[4:]], [LOG.receipts[3]]) == [Finding(3, GONE)]


def test_two_missing_receipts_of_one_number_are_one_finding() -> None:
    receipts = [Receipt(3, "1" * 64), Receipt(3, "0" * 64), Receipt(3, "0" * 64)]
    assert missing_receipts(receipts, chain_of(LINES, receipts)) == [Receipt(3, "0" * 64), Receipt(3, "1" * 64)]
    assert found(LINES, receipts) == [Finding(3, REWRITTEN)]
