"""Follows the log and delivers its records, at least once and in order, beside the service.

A batch is sent until its receiver confirms it; then the cursor is moved. So a record may come twice
after a crash, with the same id: its hash. Only what is durable in the log is sent.
"""

from __future__ import annotations

import logging
import random
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from ...audit.format.record import MAX_LINE_BYTES
from ...errors import AppError, ConfigError
from ..siem.record import LoggedRecord
from .cursor import BEGINNING, Cursor, CursorFile
from .event import Event, NotDelivered, Sender

LOG = logging.getLogger("app.forward")
MOST_RECORDS, MOST_BYTES = 500, 1 << 20
"""Of one batch, which is all that is held in memory."""
POLL_SECONDS = 0.5
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0


class Source(Protocol):
    """An AuditLog, as far as it is read here."""

    def durable_size(self) -> int: ...

    def lines(self, start: int = 0, end: int | None = None) -> Iterator[bytes]: ...


class Forwarder:
    def __init__(
        self,
        source: Source,
        sender: Sender,
        cursor: CursorFile,
        body: Callable[[LoggedRecord], bytes],
        *,
        has_texts: bool = True,
        dice: Callable[[], float] = random.random,
    ) -> None:
        """*body* makes the JSON of a record."""
        self._source, self._sender, self._file, self._body = source, sender, cursor, body
        self._has_texts, self._dice = has_texts, dice
        self._most = MOST_RECORDS
        self.delivered = 0

    def run(self, stop: threading.Event, *, until_end: bool = False) -> None:
        """Until *stop*, or *until_end*: until all that is durable now is delivered.

        Raises ConfigError where the log is not the one that the cursor names.
        """
        cursor = self._file.read() or BEGINNING
        self._verify(cursor)
        failures, end = 0, self._source.durable_size() if until_end else None
        while not stop.is_set():
            if end is not None and cursor.position >= end:
                return
            try:
                moved = self._step(cursor)
                failures = 0
            except NotDelivered as error:
                failures += 1
                moved = cursor
                self._wait(stop, error, failures)
            except AppError as error:  # the log cannot be read now
                failures += 1
                moved = cursor
                self._wait(stop, NotDelivered(error.detail), failures)
            else:
                if moved == cursor and until_end:
                    return
                if moved == cursor:
                    stop.wait(POLL_SECONDS)
            cursor = moved

    def _step(self, cursor: Cursor) -> Cursor:
        """Deliver the batch after *cursor*, and keep the new one. Raises NotDelivered."""
        events, moved = self._batch(cursor)
        if moved == cursor:
            return cursor
        try:
            if events:
                self._sender.send(events)
        except NotDelivered as error:
            if error.is_too_large and len(events) > 1:
                self._most = len(events) // 2
            raise
        self._most = min(MOST_RECORDS, self._most * 2)
        self._file.write(moved)
        self.delivered += len(events)
        return moved

    def _batch(self, cursor: Cursor) -> tuple[Sequence[Event], Cursor]:
        """What comes next, and the cursor after it."""
        events, size, moved, end = list[Event](), 0, cursor, self._source.durable_size()
        if end <= cursor.position:
            return events, cursor
        for line in self._source.lines(cursor.position, end):
            if not line.endswith(b"\n"):
                break
            try:
                record = LoggedRecord.read(line, with_texts=self._has_texts)
            except ValueError:
                LOG.error("byte %d of the log begins a line that is no record: run audit verify; it is left out", moved.position)
                moved = Cursor(moved.position + len(line), moved.seq, moved.hash)
                continue
            events.append(Event(record, self._body(record)))
            size += len(events[-1].body)
            moved = Cursor(moved.position + len(line), record.seq, record.hash)
            if len(events) >= self._most or size >= MOST_BYTES:
                break
        return events, moved

    def _verify(self, cursor: Cursor) -> None:
        """Whether the record that was delivered last still ends where the cursor says."""
        if cursor == BEGINNING:
            return
        start = max(0, cursor.position - MAX_LINE_BYTES)
        is_long_enough = self._source.durable_size() >= cursor.position
        lines = deque(self._source.lines(start, cursor.position) if is_long_enough else (), maxlen=1)
        last = lines.pop() if lines else b""
        if cursor.hash.encode() + b'"}\n' != last[-(len(cursor.hash) + 3) :]:
            raise ConfigError(
                f"The log is not the one of which {self._file.path} says that {cursor.seq + 1:,} records were delivered: it was "
                "replaced or cut. Run audit verify; to forward this one from its first record, remove that file."
            )

    def _wait(self, stop: threading.Event, error: NotDelivered, failures: int) -> None:
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures - 1, 10)) * (0.5 + self._dice() / 2)
        if error.retry_after is not None:
            pause = max(pause, min(error.retry_after, LONGEST_PAUSE))
        LOG.warning("not delivered, tried again in %.1f s: %s", pause, error.why)
        stop.wait(pause)
