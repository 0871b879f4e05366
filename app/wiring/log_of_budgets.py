"""What the budgets read and write of the audit log, which they know nothing of otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..audit.format.record import MAX_LINE_BYTES, hash_of, seq_of, split_lines
from ..audit.log import AuditLog
from ..audit.storage.store import AuditStore
from ..errors import EvidenceUnavailable
from ..kit.foreign_json import loads
from ..limits.budgets.books import concerns_budgets
from ..limits.budgets.recovery import TakeRecord
from ..limits.budgets.store import LogPlace, StoreFailed


class LogOfBudgets:
    """A BudgetLog."""

    def __init__(self, store: AuditStore, audit: AuditLog) -> None:
        """*store*: to read from. *audit*: to record with."""
        self._store, self._audit = store, audit

    def end(self) -> LogPlace:
        with _faults():
            end = self._store.durable()
        if end is None:
            raise StoreFailed("the durable end of the audit log is not known")
        return LogPlace(end.seq, end.size, end.hash)

    def holds(self, place: LogPlace) -> bool:
        if place.size == 0:
            return True
        with _faults():
            start = max(0, place.size - MAX_LINE_BYTES)
            window = b"".join(self._store.chunks(place.size, start))
        if len(window) < place.size - start:
            return False
        line = window[window.rfind(b"\n", 0, -1) + 1 :]
        return window.endswith(b"\n") and seq_of(line) == place.seq and hash_of(line) == place.hash

    def read(self, start: int, take: TakeRecord, end: int | None = None) -> None:
        with _faults():
            for line in split_lines(self._store.chunks(self._store.size() if end is None else end, start)):
                if concerns_budgets(line) and line.endswith(b"\n"):
                    record = loads(line)
                    take(record["seq"], record["action"], record["request_id"], record["details"])

    async def record(self, action: str, details: Mapping[str, Any], request_id: str | None = None) -> None:
        await self._audit.record(action, user_id=None, details=details, request_id=request_id)


@contextmanager
def _faults() -> Iterator[None]:
    """Raises StoreFailed for a log that cannot be read, or holds what is no record."""
    try:
        yield
    except EvidenceUnavailable as error:
        raise StoreFailed(error.detail) from error
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise StoreFailed(f"the audit log cannot be read: {error}") from error
