"""Whether the log has the records that receipts name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..format.record import Receipt
from .chain_check import ChainReport
from .report import Finding


def missing_receipts(receipts: Iterable[Receipt], chain: ChainReport) -> list[Receipt]:
    """The receipts whose record the log does not have, in the order of their numbers."""
    return sorted(one for one in set(receipts) if one.hash not in chain.hashes[one.seq])


def receipt_findings(missing: Sequence[Receipt], chain: ChainReport) -> list[Finding]:
    """One for each record number."""
    return [Finding(seq, _problem(seq, chain)) for seq in sorted({one.seq for one in missing})]


def _problem(seq: int, chain: ChainReport) -> str:
    if chain.hashes[seq]:
        return "this is not the record that a receipt names: the log was rewritten"
    if seq > chain.last_seq:
        return "a receipt names this record, and the log does not have it: its end was cut off"
    return "a receipt names this record, and the log does not have it"
