"""The connections of one process to the ledger: at most a few, opened when they are needed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .place import LedgerPlace
from .session import ANSWER_SECONDS, Lost, Session

MAX_CONNECTIONS = 4


class Pool:
    """Threads share it. `open` connects, so it is used after the fork."""

    def __init__(
        self, place: LedgerPlace, most: int = MAX_CONNECTIONS, connect: Callable[[LedgerPlace], Session] = Session
    ) -> None:
        self._place, self._most, self._connect = place, most, connect
        self._changed = threading.Condition()
        self._idle: list[Session] = []
        self._in_use = 0

    @contextmanager
    def session(self, seconds: float = ANSWER_SECONDS) -> Iterator[Session]:
        """A connection of the caller's own. Raises Lost where none is free in time."""
        session = self._take(time.monotonic() + seconds)
        try:
            if session is None or not session.is_alive():
                session = self._connect(self._place)
            yield session
        finally:
            with self._changed:
                self._in_use -= 1
                if session is not None and session.is_open:
                    self._idle.append(session)
                self._changed.notify()

    def close(self) -> None:
        """Those that are in use stay open until their end. Idempotent."""
        with self._changed:
            while self._idle:
                self._idle.pop().close()

    def _take(self, deadline: float) -> Session | None:
        with self._changed:
            while self._in_use >= self._most:
                if not self._changed.wait(max(0.0, deadline - time.monotonic())) and self._in_use >= self._most:
                    raise Lost("all connections of this process are in use")
            self._in_use += 1
            return self._idle.pop() if self._idle else None
