"""One child process of the supervisor: how it is started, and how it has done so far."""

from __future__ import annotations

import mmap
import os
import signal
import time
from collections.abc import Callable
from typing import Protocol

SHORT_LIFE_SECONDS = 2
"""A child that lives less long waits longer for each restart."""
FIRST_PAUSE_SECONDS = 0.1
"""Before each restart. A signal that ends the whole service arrives within it."""
LONGEST_PAUSE_SECONDS = 1.0


class ReadyFlag:
    """One byte that a child sets when it is ready. Made by the parent before the fork."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 1)  # anonymous, shared with forked children, zeroed

    @property
    def is_set(self) -> bool:
        return bool(self._memory[0])

    def set(self) -> None:
        self._memory[0] = 1

    def clear(self) -> None:
        """Before the child is started again."""
        self._memory[0] = 0


class Pulse(Protocol):
    """The heartbeat of a child, in shared memory."""

    @property
    def beaten_at(self) -> float:
        """The time of the last beat, on the monotonic clock. 0: none is expected."""

    def clear(self) -> None:
        """Before it is started."""

    def note_stood(self, pid: int, seconds: float) -> None:
        """It was ended because it stood still. Its successor records that."""


class Child:
    """Restarted as often as it ends, with a pause before."""

    def __init__(self, start: Callable[[], int], last: bool, ready: ReadyFlag | None = None, pulse: Pulse | None = None) -> None:
        """*start* returns the pid. *ready* is set by the child; None: it needs no preparation."""
        self._start, self.last, self._ready, self._pulse = start, last, ready, pulse
        self.pid = 0
        self.pause = 0.0
        """Seconds between its end and its restart."""
        self.cause = ""
        """How it ended the last time."""
        self._has_settled = False
        self._started = self._due = 0.0

    @property
    def has_settled(self) -> bool:
        """Whether it has ever been ready."""
        self._has_settled = self._has_settled or (self._ready is not None and self._ready.is_set)
        return self._has_settled

    @property
    def is_ready(self) -> bool:
        return bool(self.pid) and self._ready is not None and self._ready.is_set

    @property
    def beaten_at(self) -> float:
        """When it moved last, on the monotonic clock. 0: it is not expected to."""
        return 0.0 if self._pulse is None else self._pulse.beaten_at

    def run(self) -> None:
        if self._ready is not None:
            self._ready.clear()
        if self._pulse is not None:
            self._pulse.clear()
        self._started = time.monotonic()
        self.pid = self._start()
        self._has_settled = self._has_settled or self._ready is None

    def is_due(self) -> bool:
        return not self.pid and time.monotonic() >= self._due

    def reap(self) -> int | None:
        """The exit status if it ended since the last look (negative: the signal), else None."""
        if not self.pid:
            return None
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if not pid:
            return None
        self._has_settled = self.has_settled
        lived = time.monotonic() - self._started
        self.pause = FIRST_PAUSE_SECONDS if lived > SHORT_LIFE_SECONDS else _longer(self.pause)
        self.pid, self._due = 0, time.monotonic() + self.pause
        code = os.waitstatus_to_exitcode(status)
        self.cause = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        return code

    def send(self, number: int) -> None:
        if self.pid:
            os.kill(self.pid, number)

    def end_because_still(self, seconds: float) -> None:
        """By SIGKILL: a stopped process takes no other signal."""
        self._has_settled = self.has_settled
        if self._ready is not None:
            self._ready.clear()  # not ready until its successor is
        if self._pulse is not None:
            self._pulse.note_stood(self.pid, seconds)
        self.send(signal.SIGKILL)


def _longer(pause: float) -> float:
    return min(LONGEST_PAUSE_SECONDS, max(FIRST_PAUSE_SECONDS, pause * 2))
