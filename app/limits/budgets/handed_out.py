"""What one event loop hands out of its advances, so that questions need no transaction each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from .advances import FIRST_EXCHANGE, Granted, Offer, Wanted, part_of
from .notes import Notes
from .reservations import Pot, Share
from .store import PotState, Settle, Take

SPAN_SECONDS = 0.1
"""An advance is for twice as much time: questions come in bursts."""
FEW = 4
"""A pot of which fewer questions reserve in this time needs no advance."""


@dataclass(slots=True)
class _Pot:
    """Of one pot."""

    share: Share
    state: PotState = PotState(0, 0, 0)
    room: int = 0
    """What is left of the advance."""
    spent: int = 0
    """What the last exchange does not know of."""
    open: int = 0
    """All that is handed out and has no end."""
    counts: list[int] = field(default_factory=lambda: [0, 0])
    """How many questions reserved in the last spans and in this one."""
    amounts: list[int] = field(default_factory=lambda: [0, 0])
    told: Wanted | None = None
    """Of the exchange that is under way, or was the last one."""
    known: int = 0
    """What *state* has of *open*."""

    def demand(self, share: Share) -> None:
        self.counts[1] += 1
        self.amounts[1] += share.amount
        self.share = share

    def hand_out(self, share: Share) -> PotState:
        """The pot after it."""
        self.room -= share.amount
        self.open += share.amount
        self.demand(share)
        return self.now()

    def now(self) -> PotState:
        spent, opened, added = self.state
        return PotState(spent + self.spent, opened + self.open - self.known, added)

    def wanted(self, *, is_last: bool) -> Wanted:
        """Gives up what it has too much of."""
        needed = 2 * max(self.amounts) if max(self.counts) >= FEW and not is_last else 0
        most = self.share.most
        self.room = min(self.room, needed, part_of(self.now().left(most)))
        more, least = needed - self.room, self.share.amount
        self.told = Wanted(self.share.pot, most, self.room, more, least, self.spent, self.open)
        return self.told

    def granted(self, granted: Granted) -> None:
        assert self.told is not None
        self.room += granted.more
        self.state, self.known = granted.state, self.told.open
        self.spent -= self.told.spent


class _Open(NamedTuple):
    take: Take
    slot: int
    pots: list[_Pot]


class HandedOut:
    """Nothing is handed out before `start`, and nothing that was not noted."""

    def __init__(self, notes: Notes, clock: Callable[[], float] = time.monotonic) -> None:
        self._notes, self._clock = notes, clock
        self._pots: dict[Pot, _Pot] = {}
        self._open: dict[str, _Open] = {}
        self._untold: list[tuple[int, Take | None, Settle | None]] = []
        """The slots of those that have their end, with it; without it, of those that were left."""
        self._telling = 0  # how many of them the present exchange tells of
        self._exchange = FIRST_EXCHANGE
        self._span_began = clock()
        self._is_started, self._is_told = False, True

    def start(self, owner: int) -> None:
        """Nothing is held. Without a place for notes it stays like that."""
        with suppress(OSError):
            self._notes.open(owner)
            self._is_started = True

    def end(self) -> tuple[list[Take], list[tuple[Take, Settle]]]:
        """The store was replaced: what is open, and what has ended and it does not know of."""
        opened = [one.take._replace(is_certain=True) for one in self._open.values()]
        ended = [(take._replace(is_certain=True), step) for _, take, step in self._untold if take and step]
        self._pots, self._open, self._untold = {}, {}, []
        self._telling, self._is_started, self._is_told = 0, False, True
        return opened, ended

    def close(self, *, are_told: bool) -> None:
        self._notes.close(are_told=are_told and not self._open)
        self.end()

    @property
    def has_news(self) -> bool:
        """Whether the store should hear of it, now or later."""
        return bool(self._untold) or not self._is_told or any(pot.room for pot in self._pots.values())

    def take(self, step: Take) -> tuple[PotState, ...] | None:
        """The pots after *step*, if the advances bear all of it."""
        if not self._is_started:
            return None
        found, slot = list[_Pot](), None
        for share in step.shares:
            pot = self._pots.get(share.pot)
            if pot is None or pot.room < share.amount:
                break
            found.append(pot)
        else:
            slot = self._notes.write(step.key, step.after, [(*share.pot, share.amount) for share in step.shares])
        if slot is None:
            for share in step.shares:
                self._pots.setdefault(share.pot, _Pot(share)).demand(share)
            return None
        self._open[step.key] = _Open(step, slot, found)
        return tuple([pot.hand_out(share) for pot, share in zip(found, step.shares, strict=True)])

    def settle(self, step: Settle) -> bool:
        """False: it was not handed out here."""
        if (found := self._open.pop(step.key, None)) is None:
            return False
        self._close(found, step)
        for pot, spent in zip(found.pots, step.spent, strict=True):
            pot.spent += spent
        return True

    def states(self, step: Settle) -> tuple[PotState, ...]:
        """The pots right after *step* was settled."""
        return tuple([self._pots[share.pot].now() for share in step.shares])

    def leave(self, key: str) -> Take | None:
        """The next exchange must open it in the store, which has it from then on."""
        if (found := self._open.pop(key, None)) is None:
            return None
        self._close(found, None)
        return found.take._replace(is_certain=True)

    def offer(self, *, is_last: bool = False) -> Offer:
        """For the exchange that tells of all until now. *is_last*: nothing is held any more."""
        self._turn_spans()
        self._telling, exchange = len(self._untold), self._exchange
        self._exchange, self._is_told = exchange + 1, False
        wanted = [pot.wanted(is_last=is_last) for pot in self._pots.values()]
        return Offer([one for one in wanted if one.kept or one.more or one.spent or one.open], exchange)

    def granted(self, granted: Iterable[Granted]) -> list[tuple[Share, PotState]]:
        """The exchange is done. Those pots that have just spent most of what they have."""
        for slot, _, _ in self._untold[: self._telling]:
            self._notes.free(slot)
        del self._untold[: self._telling]
        self._telling, self._is_told = 0, True
        alarms = []
        for one in granted:
            if (pot := self._pots.get(one.pot)) is not None:
                pot.granted(one)
                alarms += [(pot.share, one.state)] if one.is_alarm else []
        return alarms

    def _close(self, found: _Open, step: Settle | None) -> None:
        self._notes.settle(found.slot, self._exchange)
        self._untold.append((found.slot, found.take if step else None, step))
        for pot, share in zip(found.pots, found.take.shares, strict=True):
            pot.open -= share.amount

    def _turn_spans(self) -> None:
        """A span ends with the first exchange after `SPAN_SECONDS`.

        What is wanted falls to a quarter at most, as one span without questions may be a late one.
        Pots of which nobody has reserved for a while are forgotten.
        """
        now = self._clock()
        if now - self._span_began < SPAN_SECONDS:
            return
        self._span_began = now
        for name, pot in list(self._pots.items()):
            pot.counts = [max(pot.counts[1], pot.counts[0] // 4), 0]
            pot.amounts = [max(pot.amounts[1], pot.amounts[0] // 4), 0]
            if not (pot.counts[0] or pot.open or pot.spent):
                del self._pots[name]
