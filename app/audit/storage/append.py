"""Appends drafts to a store as one batch, after the records of what was recovered."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from ..format.chain import link
from ..format.record import Draft, LogEnd, Receipt, draft
from .store import Batch, Build, Recovery


def now_utc() -> str:
    """RFC 3339 in UTC with six decimals."""
    return datetime.now(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def append(
    write: Callable[[Build], None], records: list[Draft], clock: Callable[[], str] = now_utc, *, after: int | None = None
) -> list[Receipt]:
    """Append *records* with *write*, a method of a store; their receipts. Blocks.

    Torn tails that were set aside are recorded first. *after*: only if this is still the last
    record, because another process may have added one. Raises what *write* raises.
    """
    receipts: list[Receipt] = []

    def build(end: LogEnd, recovered: tuple[Recovery, ...]) -> Batch:
        own = records if after in (None, end.seq) else []
        data, made, new_end = link([*map(recovered_draft, recovered), *own], end, clock())
        receipts.extend(made[len(recovered) :])
        return Batch(data, new_end)

    write(build)
    return receipts


def recovered_draft(recovery: Recovery) -> Draft:
    """The record `log.recovered`, which names the file that has the torn tail."""
    details = {"bytes": recovery.size, "sha256": recovery.sha256, "kept_as": recovery.kept_as}
    return draft("log.recovered", None, details)
