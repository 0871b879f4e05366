"""Questions that wait for the store: those that it has had for too long are refused.

What this process itself is late does not count, and what its thread does for itself only in part.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from .store_thread import Job

TICKS = 4
"""In the time after which a question is refused."""
OWN_WORK = 0.2
"""So much of the time of the thread's own work counts: a disk that hangs must end the wait, too."""


class Waiting:
    """Of one event loop."""

    def __init__(self, timeout_seconds: float, refuse: Callable[[Job], None], is_at_work: Callable[[], bool]) -> None:
        """*is_at_work*: whether the thread does other work than transactions of questions."""
        self._timeout, self._refuse, self._is_at_work = timeout_seconds, refuse, is_at_work
        self._jobs: dict[Job, float] = {}
        self._clock = self._looked = 0.0
        self._is_watching = False

    def add(self, job: Job) -> None:
        if not self._is_watching:
            self._looked = time.monotonic()
        self._jobs[job] = self._clock + self._passed()
        if not self._is_watching:
            self._watch_later()

    def remove(self, job: Job) -> None:
        self._jobs.pop(job, None)

    @property
    def hangs(self) -> bool:
        """Whether the thread has had the oldest job for too long."""
        return bool(self._jobs) and self._clock - next(iter(self._jobs.values())) >= self._timeout

    def _watch_later(self) -> None:
        self._is_watching = bool(self._jobs)
        if self._is_watching:
            asyncio.get_running_loop().call_later(self._timeout / TICKS, self._watch)

    def _watch(self) -> None:
        self._clock += self._passed()
        self._looked = time.monotonic()
        for job, since in list(self._jobs.items()):
            if self._clock - since >= self._timeout:
                self._refuse(job)
        self._watch_later()

    def _passed(self) -> float:
        """Since the last look. If the loop is late, the thread may have had no time either."""
        passed = min(time.monotonic() - self._looked, self._timeout / TICKS)
        return passed * (OWN_WORK if self._is_at_work() else 1)
