"""Who may have how much of what one worker has: a principal takes what is still free, never all."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from ..errors import Interrupted, Overloaded

MAX_WAITING = 64
"""Questions of one principal that wait for a slot. Further ones are refused at once."""
WAIT_SECONDS = 30.0
RETRY_AFTER = 5


class Turn(NamedTuple):
    wanted: int
    given: asyncio.Future[None]


class FairSlots:
    """Connections to one server, or bytes, in one worker; belongs to one event loop.

    The bound of each is what is free: one principal alone gets half of all slots, two get a third
    each, and so on. So there is always a slot for somebody who has none.
    """

    def __init__(self, slots: int, wait_seconds: float = WAIT_SECONDS) -> None:
        self._free, self._most, self._wait_seconds = slots, max(1, slots // 2), wait_seconds
        self._held = Counter[str]()
        self._waiting: dict[str, deque[Turn]] = {}
        self._is_stopping = False

    @asynccontextmanager
    async def taken_by(self, who: str) -> AsyncIterator[None]:
        """A slot until the end of the block. Raises as `take`."""
        await self.take(who)
        try:
            yield
        finally:
            self.give_back(who)

    async def take(self, who: str, count: int = 1) -> int:
        """How many were taken: *count*, or as many as anybody may have.

        Raises Overloaded, Interrupted at a stop.
        """
        count = min(count, self._most)
        if who in self._waiting or not self.take_now(who, count):
            await self._wait(who, count)
        return count

    def take_now(self, who: str, count: int) -> bool:
        """Take them without waiting, or none."""
        if not self._may_take(who, count):
            return False
        self._held[who] += count
        self._free -= count
        return True

    def give_back(self, who: str, count: int = 1) -> None:
        self._held[who] -= count
        if not self._held[who]:
            del self._held[who]
        self._free += count
        # The one with the fewest slots comes first.
        while self._waiting:
            first = min(self._waiting, key=self._held.__getitem__)
            turn = self._waiting[first][0]
            if not self.take_now(first, turn.wanted):
                return
            self._waiting[first].popleft()
            turn.given.set_result(None)
            self._forget_empty(first)

    def stop(self) -> None:
        """The service stops: those who wait get Interrupted."""
        self._is_stopping = True
        for turns in self._waiting.values():
            for turn in turns:
                turn.given.cancel()
        self._waiting.clear()

    def _may_take(self, who: str, count: int) -> bool:
        return self._held[who] + count <= min(self._free, self._most)

    async def _wait(self, who: str, count: int) -> None:
        """Return with what was taken for *who*."""
        if self._is_stopping:
            raise Interrupted()
        if len(self._waiting.get(who, ())) >= MAX_WAITING:
            raise Overloaded(retry_after=RETRY_AFTER)
        queue = self._waiting.setdefault(who, deque())
        turn = Turn(count, asyncio.get_running_loop().create_future())
        queue.append(turn)
        try:
            async with asyncio.timeout(self._wait_seconds):
                await asyncio.shield(turn.given)
        except (TimeoutError, asyncio.CancelledError) as end:
            if turn.given.cancelled():
                raise Interrupted() from None
            if turn.given.done():
                self.give_back(who, count)
            else:
                queue.remove(turn)
                self._forget_empty(who)
            if isinstance(end, TimeoutError):
                raise Overloaded(retry_after=RETRY_AFTER) from None
            raise

    def _forget_empty(self, who: str) -> None:
        if not self._waiting.get(who, True):
            del self._waiting[who]
