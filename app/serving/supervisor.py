"""Restarts child processes that die, and stops them in order. Knows nothing of what they do."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable
from types import FrameType

from ..kit.process import EXIT_CONFIG

LOG = logging.getLogger("app.serving")
SETTLED_SECONDS = 2
"""A child that has lived this long started well."""
LONGEST_PAUSE_SECONDS = 1.0
"""Between the death of a child that keeps dying and its restart."""
IN_FLIGHT_GRACE_SECONDS = 10
"""A worker's time to finish what is in flight, after the last model call may have ended."""
LAST_GRACE_SECONDS = 3
"""Of the children that stop last."""


class Supervisor:
    """Single-threaded, because it forks."""

    def __init__(self, grace_seconds: float) -> None:
        """*grace_seconds*: what a child has to stop after SIGTERM, before SIGKILL."""
        self._grace_seconds = grace_seconds
        self._children: dict[str, Child] = {}
        self._has_stopped = False

    def add(self, name: str, start: Callable[[], int], *, last: bool = False) -> None:
        """*start* returns the pid. *last*: stopped only after all the others have ended."""
        self._children[name] = Child(start, last)

    def start(self) -> None:
        """Start the children that were added since the last call."""
        for child in self._children.values():
            if not child.pid:
                child.run()

    def reap(self, name: str) -> int | None:
        """The exit status of *name* if it ended since the last look, else None."""
        return self._children[name].reap()

    def run(self) -> int:
        """Start all, restart those that die, stop on SIGTERM or SIGINT; the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        self.start()
        while not self._has_stopped:
            time.sleep(0.05)
            for name, child in self._children.items():
                status = child.reap()
                if status == EXIT_CONFIG and not child.has_settled:
                    LOG.error("%s could not start; see above.", name)
                    self._stop_all()
                    return EXIT_CONFIG
                if status is not None:
                    LOG.warning("%s ended (%s); it is started again in %.1f s.", name, _cause(status), child.pause)
                elif child.is_due():
                    child.run()
        LOG.info("Stopping: what is in flight is finished first.")
        self._stop_all()
        return 0

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        self._has_stopped = True

    def _stop_all(self) -> None:
        for last in (False, True):
            children = [child for child in self._children.values() if child.last is last and child.pid]
            for child in children:
                child.send(signal.SIGTERM)
            deadline = time.monotonic() + (LAST_GRACE_SECONDS if last else self._grace_seconds)
            while any(child.pid for child in children):
                if time.monotonic() > deadline:
                    for child in children:
                        child.send(signal.SIGKILL)
                for child in children:
                    child.reap()
                time.sleep(0.02)


class Child:
    """One child: how it is started, and how it has done so far."""

    def __init__(self, start: Callable[[], int], last: bool) -> None:
        self._start, self.last = start, last
        self.pid = 0
        self.pause = 0.0
        """Seconds until it is started again."""
        self.has_settled = False
        """Whether it ever started well."""
        self._started = self._due = 0.0

    def run(self) -> None:
        self.pid, self._started = self._start(), time.monotonic()

    def is_due(self) -> bool:
        return not self.pid and time.monotonic() >= self._due

    def reap(self) -> int | None:
        """The exit status if it ended since the last look (negative: the signal), else None."""
        if not self.pid:
            return None
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if not pid:
            return None
        if time.monotonic() - self._started > SETTLED_SECONDS:
            self.has_settled, self.pause = True, 0.0
        else:
            self.pause = min(LONGEST_PAUSE_SECONDS, max(0.1, self.pause * 2))
        self.pid, self._due = 0, time.monotonic() + self.pause
        return os.waitstatus_to_exitcode(status)

    def send(self, number: int) -> None:
        if self.pid:
            os.kill(self.pid, number)


def _cause(status: int) -> str:
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
