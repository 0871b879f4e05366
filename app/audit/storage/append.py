"""Appends drafts to a store as one batch, after the records of what was recovered."""

from __future__ import annotations

from collections.abc import Callable

from ...kit.moments import now_utc
from ..format.record import Draft, Receipt
from .store import Addition


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
