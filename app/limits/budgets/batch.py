"""The arithmetic of a batch of steps, whatever store the pots are read from and written to."""

from __future__ import annotations

from collections.abc import Sequence, Set

from .reservations import MOST_AMOUNT, Pot
from .store import ALARM_SHARE, Outcome, PotState, Settle, Step, Take


class Batch:
    """One transaction. Each pot is read once before it, and written once after it."""

    def __init__(self, pots: dict[Pot, list[int]], ended: Set[str]) -> None:
        """*pots*: of each what it has spent, what is open, what was added, and 1 after an alarm.

        *ended*: the reservations of `Settle` steps that were still open.
        """
        self.pots = pots
        self.taken: dict[str, Take] = {}
        """The reservations that are open after it, and were not before."""
        self._ended = set(ended)

    def apply(self, steps: Sequence[Step]) -> list[Outcome]:
        """In their order: what one step frees, the next may take."""
        return [self._take(step) if isinstance(step, Take) else self._settle(step) for step in steps]

    def _take(self, step: Take) -> Outcome:
        states = [self.pots[share.pot] for share in step.shares]
        lacking = tuple(
            place
            for place, (share, (spent, opened, added, _)) in enumerate(zip(step.shares, states, strict=True))
            if spent + opened + share.amount > share.most + added
        )
        if not lacking:
            for share, state in zip(step.shares, states, strict=True):
                state[1] += share.amount
            self.taken[step.key] = step
        return Outcome(_seen(states), lacking)

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
    return tuple(PotState(*state[:3]) for state in states)
