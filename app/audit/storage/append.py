"""Appends drafts to a store as one batch, after the records of what was recovered."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from ..format.record import Draft, Receipt
from .store import Addition


def now_utc() -> str:
    """RFC 3339 in UTC with six decimals."""
    return datetime.now(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def append(
    write: Callable[[Addition], None], records: list[Draft], clock: Callable[[], str] = now_utc, *, after: int | None = None
) -> list[Receipt]:
    """Append *records* with *write*, a method of a store; their receipts. Blocks.

    Torn tails that were set aside are recorded first. *after*: only if this is still the last
    record, because another process may have added one. Raises what *write* raises.
    """
    addition = Addition(records, clock, after)
    write(addition)
    return addition.receipts
