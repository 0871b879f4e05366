"""Advances: what a process holds of a pot, to hand it out to questions by itself.

The store grants them while much is left, and counts all of them as if they were open. So what is
handed out of one fits, and needs no transaction of its own: it is told to the store a moment later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from .reservations import Pot
from .store import BudgetStore, OpenRow, Outcome, PotState, Step

PART = 8
"""An advance is at most one of so many parts of what is left: others find enough for themselves."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a process would hold of a pot."""

    pot: Pot
    most: int
    """What the budget has, without what an operator added."""
    kept: int
    """What it holds and has not handed out. It may hand that out meanwhile."""
    more: int
    least: int
    """To hold less than this is of no use: no question fits."""


class Offer(NamedTuple):
    """What a process holds from now on: of pots that are not *wanted* nothing."""

    wanted: Sequence[Wanted]
    noted: int
    """The number of the last reservation that it has handed out, and tells of with this offer."""


class Granted(NamedTuple):
    pot: Pot
    more: int
    state: PotState


class AdvancingStore(BudgetStore, Protocol):
    """A store that grants advances."""

    def exchange(self, steps: Sequence[Step], offer: Offer) -> tuple[list[Outcome], list[Granted]]:
        """As `apply`. Steps that this process has handed out and told of before do nothing."""

    def holders(self) -> set[int]:
        """The owners of all advances."""

    def take_over(self, owner: int, handed_out: Iterable[tuple[int, OpenRow]]) -> None:
        """End the advances of a dead *owner*. What it *handed_out* and did not tell of is open."""


def part_of(left: int) -> int:
    return max(0, left // PART)


def more_of(wanted: Wanted, left: int) -> int:
    """What is granted. *left*: after all that is spent, open and held."""
    more = max(0, min(wanted.more, part_of(left)))
    return more if wanted.kept + more >= wanted.least else 0


def kept_of(wanted: Iterable[Wanted]) -> Counter[Pot]:
    return Counter({one.pot: one.kept for one in wanted})
