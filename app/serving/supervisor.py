"""Restarts child processes that die, and stops them in order. Knows nothing of what they do."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable
from types import FrameType

from ..kit.process import EXIT_CONFIG
from ..wiring.stop_times import CUT_SHARE, FINISH_SHARE
from .child import FIRST_PAUSE_SECONDS, Child, Pulse, ReadyFlag
from .still_watch import StillWatch

LOG = logging.getLogger("app.serving")
POLL_SECONDS = 0.05


class Supervisor:
    """The only Python thread that acts in its process, because it forks."""

    def __init__(
        self,
        grace_seconds: float,
        *,
        on_ready: Callable[[], None] = lambda: None,
        on_stopping: Callable[[], None] = lambda: None,
    ) -> None:
        """*grace_seconds*: what all children have to stop after SIGTERM, before SIGKILL.

        *on_ready* is called once, when every child has been ready. *on_stopping*: before any is
        told to stop.
        """
        self._grace_seconds, self._on_ready, self._on_stopping = grace_seconds, on_ready, on_stopping
        self._children: dict[str, Child] = {}
        self._watch = StillWatch()
        self._reload: Child | None = None
        self._has_stopped = self._has_hangup = self._was_ready = False

    def add(
        self,
        name: str,
        start: Callable[[], int],
        *,
        last: bool = False,
        ready: ReadyFlag | None = None,
        pulse: Pulse | None = None,
    ) -> None:
        """*start* returns the pid. *last*: stopped only after all the others have ended.

        *ready*: set by the child, which also handles SIGHUP from then on. Without one it counts as
        ready from its start. *pulse*: if it stands still, it is ended and started again.
        """
        self._children[name] = Child(start, last, ready, pulse)

    def on_hangup(self, start: Callable[[], int]) -> None:
        """At SIGHUP, which is passed on, start one more process.

        If that ends with 0, SIGHUP is passed on once more.
        """
        self._reload = Child(start, last=False)

    def start(self) -> None:
        """Start the children that were added since the last call."""
        for child in self._children.values():
            if not child.pid:
                child.run()

    def reap(self, name: str) -> int | None:
        """The exit status of *name* if it ended since the last look, else None."""
        return self._children[name].reap()

    def run(self) -> int:
        """Start all, restart those that die, stop on SIGTERM or SIGINT; the exit status.

        A child that ends before it was ever ready ends all: the next start would fail alike. Only
        SIGKILL, which comes from outside, says nothing of the next start.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGHUP, self._hang_up)
        self.start()
        while not self._has_stopped:
            time.sleep(POLL_SECONDS)
            failed = self._restart_dead()
            if failed is not None and not self._has_stopped:
                self._stop_all()
                return failed
            self._end_still()
            self._follow_hangup()
            if not self._was_ready and all(child.has_settled for child in self._children.values()):
                self._was_ready = True
                self._on_ready()
        LOG.info("Stopping: what is in flight is finished first.")
        self._on_stopping()
        self._stop_all()
        return 0

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._has_stopped = True

    def _hang_up(self, number: int, frame: FrameType | None) -> None:
        self._has_hangup = True

    def _restart_dead(self) -> int | None:
        """The exit status of the service if a child could not start."""
        for name, child in self._children.items():
            status = child.reap()
            if status not in (None, -signal.SIGKILL) and not child.has_settled:
                time.sleep(FIRST_PAUSE_SECONDS)  # a signal to the whole group may have ended it
                if not self._has_stopped:
                    LOG.error("%s could not start (%s); see above.", name, child.cause)
                return EXIT_CONFIG if status == EXIT_CONFIG else 1
            if child.is_due() and not self._has_stopped:
                LOG.warning("%s ended (%s); it is started again.", name, child.cause)
                child.run()
        return None

    def _end_still(self) -> None:
        found = self._watch.look(self._children)
        if found is not None:
            name, seconds = found
            child = self._children[name]
            LOG.error("%s (pid %d) stood still for %.1f s; it is ended.", name, child.pid, seconds)
            child.end_because_still(seconds)

    def _follow_hangup(self) -> None:
        if self._reload is not None and self._reload.reap() == 0:
            self._pass_on_hangup()
        if self._has_hangup and (self._reload is None or not self._reload.pid):
            self._has_hangup = False
            self._pass_on_hangup()
            if self._reload is not None:
                self._reload.run()

    def _pass_on_hangup(self) -> None:
        for child in self._children.values():
            if child.is_ready:
                child.send(signal.SIGHUP)

    def _stop_all(self) -> None:
        end = time.monotonic() + self._grace_seconds
        for last in (False, True):
            children = [child for child in self._children.values() if child.last is last and child.pid]
            if self._reload is not None and self._reload.pid and not last:
                children.append(self._reload)
            for child in children:
                child.send(signal.SIGTERM)
            deadline = end if last else end - self._grace_seconds * (1 - FINISH_SHARE - CUT_SHARE)
            while any(child.pid for child in children):
                if time.monotonic() > deadline:
                    for child in children:
                        child.send(signal.SIGKILL)
                for child in children:
                    child.reap()
                time.sleep(0.02)
