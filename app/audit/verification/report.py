"""What the verification of a log found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..format.record import Receipt
from .kept_texts import TextsReport

MAX_FINDINGS = 100
"""More are counted, not listed."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """*up_to*: the number of the last record for which "ok" was shown; None: for no record."""

    verdict: Literal["ok", "failed", "not_checked"]
    up_to: int | None


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem. *seq* is the number of the record concerned; None: it concerns no record."""

    seq: int | None
    problem: str


@dataclass(frozen=True, slots=True)
class Report:
    entries: int
    """Lines of the log, whether they are records or not."""
    last_record: Receipt | None
    findings: list[Finding]
    """The first MAX_FINDINGS."""
    finding_count: int
    integrity: Verdict
    """Bytes and links."""
    signatures: Verdict
    """The signed checkpoints."""
    completeness: Verdict
    """The receipts and checkpoints that the caller kept elsewhere."""
    open_and_recovered: Verdict
    """Whether *open* and *recovered* can be relied on."""
    open: list[int]
    """Questions that have no end: a crash or a full disk leaves them."""
    recovered: list[int]
    """Records that say that a torn end was set aside."""
    texts: TextsReport | None
    """Of the long texts that records name; None: they were not checked."""

    @property
    def ok(self) -> bool:
        return not self.finding_count
