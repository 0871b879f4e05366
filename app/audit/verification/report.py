"""What a verification of the log found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..format.record import Receipt


@dataclass(frozen=True, slots=True)
class Verdict:
    """*up_to* is the last record for which the verdict "ok" was found to hold; None: for none."""

    verdict: Literal["ok", "failed", "not_checked"]
    up_to: int | None


@dataclass(frozen=True, slots=True)
class Finding:
    """*seq* is None for what no record is to blame for."""

    seq: int | None
    problem: str


@dataclass(frozen=True, slots=True)
class Report:
    entries: int
    head: Receipt | None
    problems: list[Finding]
    found: int
    """How many problems there are; at most MAX_PROBLEMS are listed."""
    integrity: Verdict
    signatures: Verdict
    completeness: Verdict
    ends: Verdict
    open: list[int]
    recovered: list[int]

    @property
    def ok(self) -> bool:
        return not self.found
