"""The product's own verification of a log and of the long texts that its lines name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from app.audit.format.record import Receipt
from app.audit.log import AuditLog
from app.audit.storage.store import TextStore
from app.audit.verification.expected import ExpectedEvidence
from app.audit.verification.kept_texts import TextsChecker, TextsReport
from app.audit.verification.report import Report
from app.audit.verification.verifier import verify_log


def chain_report(log: AuditLog, receipts: Sequence[Receipt] = ()) -> Report:
    """Bytes, links and receipts."""
    return verify_log(log.lines, ExpectedEvidence(receipts))


def check_texts(texts: TextStore, lines: Iterable[bytes]) -> TextsReport:
    checker = TextsChecker(texts)
    checker.feed(lines)
    return checker.report()
