"""Who may ask one server now: a principal takes as many slots as are still free, never all."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ..errors import Interrupted, Overloaded

MAX_WAITING = 64
"""Questions of one principal that wait for a slot. Further ones are refused at once."""
WAIT_SECONDS = 30.0
RETRY_AFTER = 5


class FairSlots:
    """Slots of one server in one worker; belongs to one event loop.

    The bound of each is what is free: one principal alone gets half of all slots, two get a third
    each, and so on. So there is always a slot for somebody who has none.
    """

    def __init__(self, slots: int, wait_seconds: float = WAIT_SECONDS) -> None:
        self._free, self._wait_seconds = slots, wait_seconds
        self._held = Counter[str]()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def taken_by(self, who: str) -> AsyncIterator[None]:
        """A slot until the end of the block. Raises Overloaded, Interrupted at a stop."""
        if who in self._waiting or not self._may_take(who):
            await self._wait(who)
        else:
            self._take(who)
        try:
            yield
        finally:
            self._give_back(who)

    def _may_take(self, who: str) -> bool:
        return self._held[who] < self._free

    def _take(self, who: str) -> None:
        self._held[who] += 1
        self._free -= 1

    def _give_back(self, who: str) -> None:
        self._held[who] -= 1
        if not self._held[who]:
            del self._held[who]
        self._free += 1
        # The one with the fewest slots comes first.
        while self._waiting and self._may_take(first := min(self._waiting, key=self._held.__getitem__)):
            self._take(first)
            self._waiting[first].popleft().set_result(None)
            self._forget_empty(first)

    async def _wait(self, who: str) -> None:
        """Return with a slot that was taken for *who*."""
        queue = self._waiting.setdefault(who, deque())
        if len(queue) >= MAX_WAITING:
            raise Overloaded(retry_after=RETRY_AFTER)
        turn = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            async with asyncio.timeout(self._wait_seconds):
                await asyncio.shield(turn)
        except (TimeoutError, asyncio.CancelledError) as end:
            if turn.done():
                self._give_back(who)
            else:
                queue.remove(turn)
                self._forget_empty(who)
            raise (Overloaded(retry_after=RETRY_AFTER) if isinstance(end, TimeoutError) else Interrupted()) from None

    def _forget_empty(self, who: str) -> None:
        if not self._waiting.get(who, True):
            del self._waiting[who]
