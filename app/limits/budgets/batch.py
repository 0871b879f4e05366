"""The arithmetic of a batch of steps, whatever store the pots are read from and written to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set

from .advances import Granted, Wanted, more_of
from .reservations import MOST_AMOUNT, Pot
from .store import ALARM_SHARE, Outcome, PotState, Settle, Step, Take

HANDED_OUT = Outcome(())
"""Of a step that the process which made it knows the outcome of."""


class Batch:
    """One transaction. Each pot is read once before it, and written once after it."""

    def __init__(
        self, pots: dict[Pot, list[int]], ended: Set[str], held: Mapping[Pot, int] | None = None, noted: int = 0
    ) -> None:
        """*pots*: of each what it has spent, what is open, what was added, and 1 after an alarm.

        *ended*: the reservations of `Settle` steps that were still open. *held*: by processes as
        advances. *noted*: the number of the last one handed out that the store knows of.
        """
        self.pots, self._held, self._noted = pots, Counter(held or {}), noted
        self.taken: dict[str, Take] = {}
        """The reservations that are open after it, and were not before."""
        self._ended = set(ended)

    def apply(self, steps: Sequence[Step]) -> list[Outcome]:
        """In their order: what one step frees, the next may take."""
        for step in steps:
            if isinstance(step, Take) and step.number > self._noted:
                for share in step.shares:
                    self._held[share.pot] += share.amount
        return [self._take(step) if isinstance(step, Take) else self._settle(step) for step in steps]

    def grant(self, wanted: Wanted) -> Granted:
        """After all steps."""
        state = PotState(*self.pots[wanted.pot][:3])
        return Granted(wanted.pot, more_of(wanted, state.left(wanted.most) - self._held[wanted.pot]), state)

    def _take(self, step: Take) -> Outcome:
        if step.number:
            if step.number > self._noted:
                for share in step.shares:
                    self._held[share.pot] -= share.amount
                self._open(step)
            return HANDED_OUT
        states = [self.pots[share.pot] for share in step.shares]
        missing = [
            spent + opened + share.amount - share.most - added
            for share, (spent, opened, added, _) in zip(step.shares, states, strict=True)
        ]
        lacking = tuple(place for place, share in enumerate(step.shares) if missing[place] + self._held[share.pot] > 0)
        if not lacking:
            self._open(step)
        return Outcome(_seen(states), lacking, is_held_up=bool(lacking) and max(missing) <= 0)

    def _open(self, step: Take) -> None:
        for share in step.shares:
            self.pots[share.pot][1] += share.amount
        self.taken[step.key] = step

    def _settle(self, step: Settle) -> Outcome:
        states = [self.pots[share.pot] for share in step.shares]
        if self.taken.pop(step.key, None) is None:
            if step.key not in self._ended:
                return Outcome(_seen(states))
            self._ended.remove(step.key)
        alarms = []
        for place, (share, state, amount) in enumerate(zip(step.shares, states, step.spent, strict=True)):
            state[0] += amount
            state[1] -= share.amount
            if not state[3] and state[0] >= ALARM_SHARE * (share.most + state[2]):
                state[3] = 1
                alarms.append(place)
        return Outcome(_seen(states), alarms=tuple(alarms))


def pots_of(steps: Sequence[Step]) -> list[Pot]:
    return list({share.pot: None for step in steps for share in step.shares})


def bounded(amount: int) -> int:
    """Sums that no store can hold stay at the bound."""
    return max(-MOST_AMOUNT, min(MOST_AMOUNT, amount))


def _seen(states: Sequence[Sequence[int]]) -> tuple[PotState, ...]:
    return tuple([PotState(spent, opened, added) for spent, opened, added, _ in states])
