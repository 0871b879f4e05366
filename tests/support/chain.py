"""The check of a chain in one call."""

from __future__ import annotations

from collections.abc import Iterable

from app.audit.format.record import EMPTY, LogEnd
from app.audit.verification.chain_check import ChainChecker, ChainReport


def check_chain(lines: Iterable[bytes], start: LogEnd = EMPTY) -> ChainReport:
    """Check stored *lines*, each with its newline, that follow *start*."""
    checker = ChainChecker(start=start)
    checker.feed(lines)
    return checker.report()
