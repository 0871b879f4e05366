"""The arithmetic of a batch of steps, whatever store the pots are read from and written to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set

from .advances import Granted, Held, Wanted, more_of
from .reservations import MOST_AMOUNT, Pot
from .store import ALARM_SHARE, Outcome, PotState, Settle, Step, Take


class Batch:
    """One transaction. Each pot is read once before it, and written once after it."""

    def __init__(self, pots: dict[Pot, list[int]], ended: Set[str], held: Mapping[Pot, int] | None = None) -> None:
        """*pots*: of each what it has spent, what is open, what was added, and 1 after an alarm.

        *ended*: the reservations of `Settle` steps that were still open. *held*: by processes as
        advances.
        """
        self.pots, self._held = pots, Counter(held or {})
        self._alarms: set[Pot] = set()
        self.taken: dict[str, Take] = {}
        """The reservations that are open after it, and were not before."""
        self._ended = set(ended)

    def apply(self, steps: Sequence[Step]) -> list[Outcome]:
        """In their order: what one step frees, the next may take."""
        return [self._take(step) if isinstance(step, Take) else self._settle(step) for step in steps]

    def tell(self, wanted: Sequence[Wanted], held: Mapping[Pot, Held]) -> None:
        """Before all steps: what became of what a process *held*."""
        for pot, before in held.items():
            self.pots[pot][1] -= before.open
        for one in wanted:
            state = self.pots[one.pot]
            state[0] += one.spent
            state[1] += one.open
            if _is_alarm(state, one.most):
                self._alarms.add(one.pot)

    def grant(self, wanted: Wanted) -> Granted:
        """After all steps."""
        state = PotState(*self.pots[wanted.pot][:3])
        more = more_of(wanted, state.left(wanted.most) - self._held[wanted.pot])
        return Granted(wanted.pot, more, state, wanted.pot in self._alarms)

    def _take(self, step: Take) -> Outcome:
        states = [self.pots[share.pot] for share in step.shares]
        missing = [
            spent + opened + share.amount - share.most - added
            for share, (spent, opened, added, _) in zip(step.shares, states, strict=True)
        ]
        lacking = tuple(place for place, share in enumerate(step.shares) if missing[place] + self._held[share.pot] > 0)
        if step.is_certain or not lacking:
            self._open(step)
            return Outcome(_seen(states))
        return Outcome(_seen(states), lacking, is_held_up=max(missing) <= 0)

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
            if _is_alarm(state, share.most):
                alarms.append(place)
        return Outcome(_seen(states), alarms=tuple(alarms))


def _is_alarm(state: list[int], most: int) -> bool:
    """Once, and then never again."""
    if state[3] or state[0] < ALARM_SHARE * (most + state[2]):
        return False
    state[3] = 1
    return True


def pots_of(steps: Sequence[Step]) -> list[Pot]:
    return list({share.pot: None for step in steps for share in step.shares})


def bounded(amount: int) -> int:
    """Sums that no store can hold stay at the bound."""
    return max(-MOST_AMOUNT, min(MOST_AMOUNT, amount))


def _seen(states: Sequence[Sequence[int]]) -> tuple[PotState, ...]:
    return tuple([PotState(spent, opened, added) for spent, opened, added, _ in states])
