"""Parent and children: fork, spawn, restart what dies, stop in order. Knows nothing of what the children do."""

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
"""A child that has lived this long has started well."""


class Supervisor:
    """The children, each restarted when it dies, with a growing pause if it keeps dying. Single-threaded, as fork wants."""

    def __init__(self, grace_seconds: float) -> None:
        self._grace = grace_seconds
        self._members: dict[str, _Child] = {}
        self._stop = 0

    def add(self, name: str, start: Callable[[], int], *, last: bool = False) -> None:
        """*last*: told to stop only after all the others have ended."""
        self._members[name] = _Child(start, last)

    def start(self) -> None:
        """Start those who have not been started yet."""
        for member in self._members.values():
            if not member.pid:
                member.run()

    def reap(self, name: str) -> int | None:
        """The exit status of *name* if it ended just now, else None."""
        return self._members[name].reap()

    def live(self) -> int:
        """Start everyone, then wait, restart and reap until told to stop."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        self.start()
        while not self._stop:
            _nap(0.05)
            for name, member in self._members.items():
                status = member.reap()
                if status == EXIT_CONFIG and not member.has_settled:
                    LOG.error("%s could not start; see above.", name)
                    self._end()
                    return EXIT_CONFIG
                if status is not None:
                    LOG.warning("%s ended (%s); it is started again in %.1f s.", name, _told(status), member.pause)
                elif member.is_due():
                    member.run()
        LOG.info("Stopping: what is in flight is finished first.")
        self._end()
        return 0

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        self._stop = number

    def _end(self) -> None:
        """SIGTERM to the workers, then to the model; SIGKILL to whoever outstays the grace."""
        for last in (False, True):
            members = [member for member in self._members.values() if member.last is last and member.pid]
            for member in members:
                member.send(signal.SIGTERM)
            deadline = time.monotonic() + (3 if last else self._grace)
            while any(member.pid for member in members):
                if time.monotonic() > deadline:
                    for member in members:
                        member.send(signal.SIGKILL)
                for member in members:
                    member.reap()
                _nap(0.02)


class _Child:
    """One child: how to start it, and how it has been doing."""

    def __init__(self, start: Callable[[], int], last: bool) -> None:
        self._start, self.last = start, last
        self.pid = 0
        self.pause = 0.0
        self.has_settled = False
        self._started = self._due = 0.0

    def run(self) -> None:
        self.pid, self._started = self._start(), time.monotonic()

    def is_due(self) -> bool:
        return not self.pid and time.monotonic() >= self._due

    def reap(self) -> int | None:
        """The exit status (negative: the signal) if it ended just now, else None."""
        if not self.pid:
            return None
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if not pid:
            return None
        lived = time.monotonic() - self._started
        self.has_settled |= lived > SETTLED_SECONDS
        self.pause = 0.0 if lived > SETTLED_SECONDS else min(1.0, max(0.1, self.pause * 2))
        self.pid, self._due = 0, time.monotonic() + self.pause
        return os.waitstatus_to_exitcode(status)

    def send(self, number: int) -> None:
        if self.pid:
            os.kill(self.pid, number)


def _told(status: int) -> str:
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


def _nap(seconds: float) -> None:
    time.sleep(seconds)  # a signal handler runs at once, and the loop sees its mark within this time


IN_FLIGHT_GRACE_SECONDS = 10
"""What a worker has, after the last model call may have ended, to finish what is in flight."""
