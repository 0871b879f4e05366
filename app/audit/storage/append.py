"""One batch of records at the end of the log, with the recoveries that it must name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from ..format.chain import link
from ..format.record import Draft, LogEnd, Receipt, draft
from .store import Batch, Build, Recovery


def now_utc() -> str:
    """RFC 3339 in UTC with six decimals."""
    return datetime.now(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def append(write: Callable[[Build], None], records: list[Draft], clock: Callable[[], str] = now_utc) -> list[Receipt]:
    """Append *records* by a store's `append` or `settle`, blocking. Torn tails that were set aside are recorded right before."""
    receipts: list[Receipt] = []

    def build(head: LogEnd, recovered: tuple[Recovery, ...]) -> Batch:
        data, made, new_head = link([recovered_draft(one) for one in recovered] + records, head, clock())
        receipts.extend(made[len(recovered) :])
        return Batch(data, new_head)

    write(build)
    return receipts


def recovered_draft(recovery: Recovery) -> Draft:
    details = {"bytes": recovery.size, "sha256": recovery.sha256, "kept_as": recovery.kept_as}
    return draft("log.recovered", None, details)
