"""The audit log as a ledger in PostgreSQL, written by many nodes.

The database links the lines (`schema.py`), with its own clock. What is appended is visible at once
and durable later: only what a barrier has covered counts, for writers (`writer.py`) and for readers
(`reader.py`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from ....errors import AuditUnavailable, EvidenceUnavailable
from ...format.record import LogEnd
from ..meter import StorageMeter
from ..store import Addition, Batch, Look
from .place import LedgerPlace
from .reader import Reader
from .retire import retire
from .writer import Writer


class PostgresStore:
    """An AuditStore. *verify_sound* is called before each write, and may refuse it."""

    def __init__(
        self, place: LedgerPlace, verify_sound: Callable[[], None] = lambda: None, meter: StorageMeter | None = None
    ) -> None:
        self._place, self._verify_sound = place, verify_sound
        self._writer, self._reader = Writer(place, meter=meter), Reader(place)
        self._one_thread = threading.Lock()
        self._stamp: tuple[int, ...] = ()
        self._changed_at = 0.0

    # --- writing: see AuditStore -----------------------------------------------------------------

    def append(self, addition: Addition, /) -> None:
        self._verify_sound()
        with self._one_thread:
            self._append(addition)

    def recover(self, addition: Addition, /, *, at_start: bool = False) -> None:
        self._verify_sound()
        with self._one_thread:
            try:
                self._reader.verify_last_line()
            except EvidenceUnavailable as error:
                raise AuditUnavailable(error.detail) from error
            self._append(addition)

    def create(self, addition: Addition, /) -> None:
        with self._one_thread:
            addition.receipts.extend(self._writer.append(addition.records, begins=True))

    def retire(self, build: Callable[[LogEnd | None, str | None], Batch]) -> None:
        with self._one_thread:
            retire(self._place, build)
            self.close()
            self._writer.forget()
            self._reader = Reader(self._place)

    def _append(self, addition: Addition) -> None:
        if addition.records:
            addition.receipts.extend(self._writer.append(addition.records, after=addition.after))
        else:
            self._writer.settle()

    # --- reading: see AuditStore -----------------------------------------------------------------

    def exists(self) -> bool:
        return self._reader.exists()

    def durable(self) -> LogEnd | None:
        return self._reader.durable()

    def size(self) -> int:
        """Only what is durable: a reader that goes by it shows nothing that could be lost."""
        end = self._reader.durable()
        return 0 if end is None else end.size

    def chunks(self, end: int, start: int = 0) -> Iterator[bytes]:
        return self._reader.chunks(end, start)

    def is_in_place(self) -> bool:
        """Asks nobody: only `look` can tell."""
        return True

    def look(self) -> Look:
        end, changes = self._reader.look()
        stamp = (0, 0, end.size if end else 0, end.seq if end else -1, changes)
        if stamp != self._stamp:
            self._stamp, self._changed_at = stamp, time.time()
        return Look(stamp, self._changed_at, are_locks_intact=True)

    def accept_files(self) -> None:
        self._reader.forget()

    def close(self) -> None:
        self._writer.close()
        self._reader.close()
