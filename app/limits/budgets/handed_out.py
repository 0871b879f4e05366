"""What one event loop hands out of its advances: a question then waits for no transaction."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from .advances import Granted, Offer, Wanted, part_of
from .notes import Notes
from .reservations import Pot, Share
from .store import PotState, Settle, Take

SPAN_SECONDS = 0.1
"""An advance is for about so much time."""
FEW = 4
"""A pot of which fewer questions reserve in this time needs no advance."""


@dataclass(slots=True)
class _Pot:
    """Of one pot. *spent* and *open* are what the last exchange does not know of."""

    most: int
    state: PotState
    room: int = 0
    """What is left of the advance."""
    spent: int = 0
    open: int = 0
    counts: list[int] = field(default_factory=lambda: [0, 0])
    """How many questions reserved in the last span and in this one."""
    amounts: list[int] = field(default_factory=lambda: [0, 0])
    least: int = 0

    def demand(self, share: Share) -> None:
        self.counts[1] += 1
        self.amounts[1] += share.amount
        self.least, self.most = share.amount, share.most

    def change(self, spent: int, opened: int) -> None:
        self.spent += spent
        self.open += opened

    def now(self) -> PotState:
        spent, opened, added = self.state
        return PotState(spent + self.spent, opened + self.open, added)

    def wanted(self, pot: Pot) -> Wanted:
        """Gives up what it has too much of."""
        needed = max(self.amounts) if max(self.counts) >= FEW else 0
        enough = min(needed, part_of(self.now().left(self.most)))
        self.room = min(self.room, enough)
        return Wanted(pot, self.most, self.room, needed - self.room, self.least)


class HandedOut:
    """Nothing is handed out before `start`, and nothing that was not noted."""

    def __init__(self, notes: Notes, clock: Callable[[], float] = time.monotonic) -> None:
        self._notes, self._clock = notes, clock
        self._pots: dict[Pot, _Pot] = {}
        self._span = 0
        self._is_open = False
        self._is_told = True  # whether the store knows of all that stands in the other file

    def start(self, owner: int) -> None:
        """Nothing is held. Without a place for notes it stays like that."""
        self._pots, self._is_open, self._is_told = {}, False, True
        with suppress(OSError):
            self._notes.open(owner)
            self._is_open = True

    def close(self, *, are_told: bool) -> None:
        self._pots, self._is_open = {}, False
        self._notes.close(are_told=are_told)

    @property
    def is_holding(self) -> bool:
        return any(pot.room for pot in self._pots.values())

    def take(self, step: Take) -> tuple[Take, tuple[PotState, ...]] | None:
        """*step* with its number, if the advances bear all of it; and the pots after it."""
        if not self._is_open:
            return None
        pots = [self._pots.get(share.pot) for share in step.shares]
        found = [pot for pot, share in zip(pots, step.shares, strict=True) if pot is not None and pot.room >= share.amount]
        if len(found) < len(pots):
            self._demand(step.shares)
            return None
        try:
            number = self._notes.write(step.key, step.after, [(*share.pot, share.amount) for share in step.shares])
        except OSError:
            return None
        for pot, share in zip(found, step.shares, strict=True):
            pot.room -= share.amount
            pot.demand(share)
            pot.change(0, share.amount)
        return Take(step.key, step.after, step.shares, number), tuple([pot.now() for pot in found])

    def settled(self, step: Settle) -> None:
        for share, spent in zip(step.shares, step.spent, strict=True):
            if (pot := self._pots.get(share.pot)) is not None:
                pot.change(spent, -share.amount)

    def offer(self) -> Offer:
        """For the exchange that tells of all until now."""
        if not self._is_open:
            return Offer((), self._notes.last)
        self._turn_spans()
        wanted = [pot.wanted(name) for name, pot in self._pots.items()]
        for pot in self._pots.values():
            pot.spent = pot.open = 0
        if self._is_told:
            self._notes.turn()
        self._is_told = False
        return Offer(wanted, self._notes.last)

    def last_offer(self) -> Offer:
        """Nothing is held any more."""
        self._pots, self._is_open = {}, False
        return Offer((), self._notes.last)

    def granted(self, granted: Iterable[Granted]) -> None:
        """The exchange is done."""
        self._is_told = True
        for one in granted:
            if (pot := self._pots.get(one.pot)) is not None:
                pot.room += one.more
                pot.state = one.state

    def _demand(self, shares: Sequence[Share]) -> None:
        for share in shares:
            self._pots.setdefault(share.pot, _Pot(share.most, PotState(0, 0, 0))).demand(share)

    def _turn_spans(self) -> None:
        """Pots of which nobody has reserved for a while are forgotten."""
        span = int(self._clock() / SPAN_SECONDS)
        if span == self._span:
            return
        for name, pot in list(self._pots.items()):
            is_next = span == self._span + 1
            pot.counts = [pot.counts[1] if is_next else 0, 0]
            pot.amounts = [pot.amounts[1] if is_next else 0, 0]
            if not any(pot.counts):
                del self._pots[name]
        self._span = span
