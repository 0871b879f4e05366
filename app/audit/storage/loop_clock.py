"""Tells a disk that hangs from an event loop that was blocked: only a disk may refuse callers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class LoopClock:
    """Counts the seconds in which the event loop ran.

    However long the loop was blocked, that counts as *step* seconds at most. Read it more often.
    """

    def __init__(self, step: float) -> None:
        self._step = step
        self._seconds = 0.0
        self._read_at = time.monotonic()

    def read(self) -> float:
        now = time.monotonic()
        self._seconds += min(now - self._read_at, self._step)
        self._read_at = now
        return self._seconds


async def in_time(work: Coroutine[Any, Any, T], timeout_seconds: float) -> T:
    """What *work* returns.

    Raises TimeoutError if the loop ran for *timeout_seconds* meanwhile.
    """
    clock, task = LoopClock(timeout_seconds / 2), asyncio.ensure_future(work)
    try:
        while not task.done():
            if clock.read() >= timeout_seconds:
                raise TimeoutError
            await asyncio.wait([task], timeout=timeout_seconds / 4)
        return task.result()
    finally:
        task.cancel()
