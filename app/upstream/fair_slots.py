"""Who may have how much of what one worker has: a principal takes at most what it leaves free."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from math import inf
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

    The bound of each is what is free: one principal alone gets half of all, the next one up to half
    of the rest, and so on.
    """

    def __init__(self, slots: int, wait_seconds: float = WAIT_SECONDS) -> None:
        self.most = max(1, slots // 2)
        """How many one principal can have."""
        self._slots, self._free, self._wait_seconds = slots, slots, wait_seconds
        self._held = Counter[str]()
        self._waiting: dict[str, deque[Turn]] = {}
        self._is_stopping = False
        self.answers = 0
        """Of the server to which these are connections; a refusal is none."""

    @property
    def in_flight(self) -> int:
        return self._slots - self._free

    @property
    def size(self) -> int:
        """How many there are for all."""
        return self._slots

    @property
    def waiting(self) -> int:
        """How many turns are waited for."""
        return sum(map(len, self._waiting.values()))

    async def take(self, who: str, count: int = 1, seconds: float = inf) -> int:
        """How many were taken: *count*, or as many as anybody may have.

        Raises Overloaded, also after *seconds*, and Interrupted after `stop`.
        """
        count = min(count, self.most)
        if who in self._waiting or not self.take_now(who, count):
            await self._wait(who, count, seconds)
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
        self._serve()

    def _serve(self) -> None:
        """Give what is free. The one with the least comes first, if that is enough for them."""
        while (who := min(filter(self._is_enough, self._waiting), key=self._held.__getitem__, default=None)) is not None:
            turn = self._waiting[who].popleft()
            self._forget_empty(who)
            self.take_now(who, turn.wanted)
            turn.given.set_result(None)
            self._note_served()

    def _refused_for(self, who: str) -> float | None:
        """Seconds after which *who* should come back, instead of waiting; None: it may wait."""
        return RETRY_AFTER if len(self._waiting.get(who, ())) >= MAX_WAITING else None

    def _note_served(self) -> None:
        """Somebody who waited was served."""

    def _is_enough(self, who: str) -> bool:
        return self._may_take(who, self._waiting[who][0].wanted)

    def answered(self) -> bool:
        """A server took one of the calls that have a slot, and answered it. Returns whether it is
        known to be full."""
        self.answers += 1
        return False

    def refused(self) -> bool:
        """A server refused one of them as too many. Returns as `answered` does."""
        return False

    def resize(self, slots: int) -> None:
        """So many from now on. What is held beyond them is not taken back."""
        self._free += slots - self._slots
        self._slots, self.most = slots, max(1, slots // 2)
        self._serve()

    def stop(self) -> None:
        """The service stops: those who wait get Interrupted."""
        self._is_stopping = True
        for turns in self._waiting.values():
            for turn in turns:
                turn.given.cancel()
        self._waiting.clear()

    def _may_take(self, who: str, count: int) -> bool:
        return self._held[who] + count <= min(self._free, self.most)

    async def _wait(self, who: str, count: int, longest: float) -> None:
        """Return with what was taken for *who*."""
        if self._is_stopping:
            raise Interrupted()
        if (seconds := self._refused_for(who)) is not None:
            raise Overloaded(retry_after=seconds)
        queue = self._waiting.setdefault(who, deque())
        turn = Turn(count, asyncio.get_running_loop().create_future())
        queue.append(turn)
        try:
            async with asyncio.timeout(min(longest, self._wait_seconds)):
                await asyncio.shield(turn.given)
        except (TimeoutError, asyncio.CancelledError) as end:
            if turn.given.cancelled():
                raise Interrupted() from None
            if turn.given.done():
                self.give_back(who, count)
            else:
                queue.remove(turn)
                self._forget_empty(who)
                self._serve()  # who stood behind may want less
            if isinstance(end, TimeoutError):
                raise Overloaded(retry_after=RETRY_AFTER) from None
            raise

    def _forget_empty(self, who: str) -> None:
        if not self._waiting.get(who, True):
            del self._waiting[who]
