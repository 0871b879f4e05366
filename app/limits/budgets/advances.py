"""Advances: what a process holds of a pot, to hand it out to questions by itself.

The store grants them while much is left, and counts all of them as if they were open. So what is
handed out of one fits, and needs no transaction of its own: the store is told the sums later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

from .reservations import Pot
from .store import BudgetStore, OpenRow, Outcome, PotState, Step

PART = 8
"""An advance is at most one of so many parts of what is left: others find enough for themselves."""
FIRST_EXCHANGE = 2
"""The exchanges of a process are numbered from it."""


class Wanted(NamedTuple):
    """What a process would hold of a pot, and what has become of what it had handed out of it."""

    pot: Pot
    most: int
    """What the budget has, without what an operator added."""
    kept: int
    """What it holds and has not handed out. It may hand that out meanwhile."""
    more: int
    least: int
    """To hold less than this is of no use: no question fits."""
    spent: int
    """By questions that have ended, and that the store was not told of."""
    open: int
    """By all that it has handed out and that have no end yet."""


class Offer(NamedTuple):
    """What a process holds from now on: of pots that are not *wanted* nothing."""

    wanted: Sequence[Wanted]
    exchange: int


class Granted(NamedTuple):
    pot: Pot
    more: int
    state: PotState
    is_alarm: bool
    """Whether it has spent most of what it has only now."""


class Held(NamedTuple):
    """By one process, of one pot."""

    room: int
    """Not handed out, as far as the store knows."""
    open: int
    """Handed out. The pot counts it as open."""


class AdvancingStore(BudgetStore, Protocol):
    """A store that grants advances."""

    def exchange(self, steps: Sequence[Step], offer: Offer) -> tuple[list[Outcome], list[Granted]]:
        """As `apply`, after what *offer* tells."""

    def holders(self) -> set[int]:
        """The owners of all advances."""

    def take_over(self, owner: int, handed_out: Callable[[int], Iterable[OpenRow]]) -> None:
        """End the advances of a dead *owner*. What it *handed_out* is open, and the rest free.

        *handed_out* gets the number of the last exchange of this owner.
        """


def part_of(left: int) -> int:
    return max(0, left // PART)


def more_of(wanted: Wanted, left: int) -> int:
    """What is granted. *left*: after all that is spent, open and held."""
    more = max(0, min(wanted.more, part_of(left)))
    return more if wanted.kept + more >= wanted.least else 0


def kept_of(wanted: Iterable[Wanted]) -> Counter[Pot]:
    return Counter({one.pot: one.kept for one in wanted})
