"""Whether a whole log is sound, by the product's own check of the chain."""

from __future__ import annotations

from collections.abc import Iterable

from app.audit.format.chain import ChainReport, check
from app.audit.format.record import Receipt
from app.audit.log import AuditLog


def chain_report(log: AuditLog, receipts: Iterable[Receipt] = ()) -> ChainReport:
    return check(log.lines(), receipts)
