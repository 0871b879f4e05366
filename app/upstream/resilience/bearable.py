"""How many calls a server bears at one time, learned from what it refuses: AIMD, as TCP does it."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from ..fair_slots import RETRY_AFTER, WAIT_SECONDS, FairSlots

LEAST = 8
"""A server that refuses one of so few in flight means something else, such as a rate."""
FULL = 12
"""A server with more in flight is full. One that fails at random soon gets fewer."""
SHRINK = 0.8
"""What a refusal leaves of the calls that are in flight."""
GROWTH = 0.1
"""What a round of answers adds where the bound is in the way: this part of it, and at least one."""
REACH = 7
"""How many times as many as it leaves free a principal takes of a server with a known bound."""
SMOOTH = 0.1
"""The part of the newest pause in the mean of pauses."""


class BearableSlots(FairSlots):
    """Slots of one server in one worker. Nothing is bounded before the server refuses something."""

    def __init__(self, slots: int, wait_seconds: float = WAIT_SECONDS, clock: Callable[[], float] = monotonic) -> None:
        super().__init__(slots, wait_seconds)
        self._all, self._limit, self._clock = slots, float(slots), clock
        self._borne = 0.0
        """What the server is known to bear, but for what it refuses in a burst: below it the bound
        doubles with each round of answers."""
        self._served_at = 0.0
        self._has_answered = True
        self._pause = 0.0
        """Mean seconds between two slots that somebody who waited got."""

    @property
    def limit(self) -> float:
        return self._limit

    def answered(self) -> bool:
        """The server answered. It may bear more than it is asked now."""
        self.answers += 1
        self._has_answered = True
        if self._limit < self._all and (self._waiting or 2 * self.in_flight >= self._limit):
            self._set(self._limit + (1 if self._limit < self._borne else max(1 / self._limit, GROWTH)))
        return self._limit < self._all and self.in_flight > FULL

    def refused(self) -> bool:
        """A server that has answered nothing since the last refusal may be out of order."""
        in_flight, has_answered = self.in_flight, self._has_answered
        if in_flight <= LEAST:
            return False
        borne = max(LEAST, SHRINK * in_flight)
        if has_answered:
            self._has_answered, self._borne = False, borne
        self._set(min(self._limit, borne))
        return has_answered and in_flight > FULL

    def _set(self, limit: float) -> None:
        self._limit = min(limit, float(self._all))
        if int(self._limit) != self._slots:
            self.resize(int(self._limit))

    def _may_take(self, who: str, count: int) -> bool:
        """Of a known bound as good as all is given: what is left free, the server would not do."""
        if self._limit >= self._all:
            return super()._may_take(who, count)
        return count <= self._free and self._held[who] + count <= REACH * self._free

    def _refused_for(self, who: str) -> float | None:
        """Also where it would wait in vain: each who waits is served in turn."""
        waiting, principals = len(self._waiting.get(who, ())), len(self._waiting) + (who not in self._waiting)
        expected = (waiting + 1) * principals * self._pause
        if expected > self._wait_seconds:
            return expected - self._wait_seconds + RETRY_AFTER
        return super()._refused_for(who)

    def _note_served(self) -> None:
        now = self._clock()
        if self._served_at:
            self._pause += SMOOTH * (min(now - self._served_at, self._wait_seconds) - self._pause)
        self._served_at = now if self._waiting else 0.0
