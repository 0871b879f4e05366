"""Whether a caller has sent nothing for a while: by what was read, not by the clock alone."""

from __future__ import annotations

import asyncio

HALF_CLOSE_SECONDS = 0.1
"""A caller whose sending ends this soon after the request waits for the answer."""


class Silence:
    """In a turn, the loop reads before it runs timers: a loop that is late makes no caller late."""

    __slots__ = ("_last_byte", "_loop", "_timer", "is_long")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._last_byte = loop, 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.is_long = False
        """Whether a caller who ends their sending now does so later than with the request."""

    def interrupt(self, now: float) -> None:
        """Something was read."""
        self._last_byte, self.is_long = now, False
        if self._timer is None:
            self._timer = self._loop.call_later(HALF_CLOSE_SECONDS, self._look)

    def end(self) -> None:
        """The connection is closed."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        left = self._last_byte + HALF_CLOSE_SECONDS - self._loop.time()
        self.is_long = left <= 0
        self._timer = None if self.is_long else self._loop.call_later(left, self._look)
