"""A deadline of milliseconds that blames the other side alone, not a busy event loop."""

from __future__ import annotations

import asyncio
from types import TracebackType

LATE_SECONDS = 0.005
LONGEST_SECONDS = 1.0


class Answers:
    """When the other side last answered anybody."""

    at = 0.0


class AnsweredWithin:
    """Raises TimeoutError once nobody was answered for *seconds* of a loop that is not late."""

    __slots__ = ("_answers", "_begun", "_bound", "_due", "_handle", "_loop", "_seconds")

    def __init__(self, seconds: float, answers: Answers) -> None:
        self._seconds, self._answers, self._bound = seconds, answers, asyncio.timeout(None)

    async def __aenter__(self) -> None:
        await self._bound.__aenter__()
        self._loop = asyncio.get_running_loop()
        self._begun = self._loop.time()
        self._check_at(self._begun + self._seconds)

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._handle.cancel()
        if kind is None:
            self._answers.at = self._loop.time()
        await self._bound.__aexit__(kind, error, trace)

    def _check_at(self, due: float) -> None:
        self._due, self._handle = due, self._loop.call_at(due, self._check)

    def _check(self) -> None:
        now = self._loop.time()
        later = self._answers.at + self._seconds
        if now - self._due > LATE_SECONDS:  # what has come may be unread
            later = max(later, now + LATE_SECONDS)
        if later > now and now - self._begun < self._seconds + LONGEST_SECONDS:
            self._check_at(later)
        else:
            self._bound.reschedule(now)
