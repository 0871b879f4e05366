"""The place that one question has at the server it is asked of. It has one at a time."""

from __future__ import annotations

from math import inf
from time import monotonic
from types import TracebackType
from typing import Self

from ..fair_slots import FairSlots


class Seat:
    """Leaving the block gives it back."""

    __slots__ = ("_slots", "since", "who")

    def __init__(self, who: str) -> None:
        self.who = who
        """The principal."""
        self.since = monotonic()
        """When the question came: the deadline runs from here."""
        self._slots: FairSlots | None = None

    async def take(self, slots: FairSlots, seconds: float = inf) -> None:
        """Wait for the first, at most *seconds*. Raises Overloaded, Interrupted."""
        await slots.take(self.who, 1, seconds)
        self._slots = slots

    def move(self, slots: FairSlots) -> bool:
        """Take one at another server, without waiting. False: it has none free."""
        if slots is self._slots:
            return True
        if not slots.take_now(self.who, 1):
            return False
        self.leave()
        self._slots = slots
        return True

    def take_over(self, other: Seat) -> None:
        """That of *other*, which has none then."""
        self.leave()
        self._slots, other._slots = other._slots, None

    def leave(self) -> None:
        slots, self._slots = self._slots, None
        if slots is not None:
            slots.give_back(self.who)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.leave()
