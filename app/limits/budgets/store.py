"""What the budgets need from their store, which all processes of the service share.

It is a working copy: the log is the truth, and a store that is lost is made again from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from .books import Books
from .reservations import Pot, Share

ALARM_SHARE = 0.8
"""A pot that has spent so much of what it has is told of once."""
NO_OWNER = 0
"""Of a reservation whose process is unknown."""


class LogPlace(NamedTuple):
    """The end of a record in the log. `seq` is -1 before the first."""

    seq: int
    size: int
    hash: str


class Build(NamedTuple):
    """How a store was computed from the log. Each has another *name*."""

    name: str
    counted: int
    """The number of the last record that was read for it."""


NOT_BUILT = Build("", -1)


class PotState(NamedTuple):
    """Amounts as in `reservations.py`."""

    spent: int
    open: int
    """What questions in progress have reserved."""
    added: int
    """By an operator, to what the budget has."""

    def left(self, most: int) -> int:
        return most + self.added - self.spent - self.open


class Take(NamedTuple):
    """Reserve every share, or none. *after*: the bytes of the log when it was decided."""

    key: str
    after: int
    shares: tuple[Share, ...]
    is_certain: bool = False
    """Whether it is reserved already, of an advance (`advances.py`), so that it fits."""

    @property
    def amounts(self) -> dict[Pot, int]:
        return {share.pot: share.amount for share in self.shares}


class Settle(NamedTuple):
    """End a reservation: each share has spent so much. Nothing happens to one that has its end."""

    key: str
    shares: tuple[Share, ...]
    spent: tuple[int, ...]


Step = Take | Settle


class Outcome(NamedTuple):
    """Of one step: the pots of its shares after it. *lacking*: those for which nothing was done."""

    states: tuple[PotState, ...]
    lacking: tuple[int, ...] = ()
    """Places in the step's `shares`."""
    alarms: tuple[int, ...] = ()
    """The shares whose pots have just passed ALARM_SHARE."""
    is_held_up: bool = False
    """Whether it would fit if no process held an advance: ask again in a moment."""


class OpenRow(NamedTuple):
    """A reservation that has no end in the store."""

    key: str
    owner: int
    after: int
    amounts: Mapping[Pot, int]


class StoreFailed(Exception):
    """The store cannot be used. Says why, for an operator."""


class StoreReplaced(StoreFailed):
    """It is not the store that was attached: attach it again."""


class BudgetOwners(Protocol):
    """The processes that have the store in use, told apart by numbers. On the store's thread."""

    @property
    def own(self) -> int:
        """The number of this process, once it has one."""

    def attaching(self, timeout_seconds: float) -> AbstractContextManager[bool]:
        """As `holding_off`. Whether no other process has the store in use; now this one has."""

    def holding_off(self, timeout_seconds: float) -> AbstractContextManager[None]:
        """No process attaches the store meanwhile. Raises StoreFailed."""

    def is_dead(self, owner: int) -> bool:
        """Whether the process with this number will not come back to what it has reserved."""

    def has_dead(self) -> bool:
        """Whether somebody must look for such now."""

    def close(self) -> None: ...


class BudgetStore(Protocol):
    """Not for several threads. Every method blocks, for a bounded time, and raises StoreFailed."""

    def attach(self, owner: int) -> bool:
        """Open it, made if it is missing. From now on it is used for *owner*. Whether it is built.

        A damaged one is set aside, and another is made.
        """

    def apply(self, steps: Sequence[Step]) -> list[Outcome]:
        """All steps, in their order, as one transaction: after a failure none has happened.

        No reservation is made that would take a pot below nothing. Survives the end of a process;
        a loss of power may lose the last ones. Raises StoreReplaced.
        """

    def adjust(self, pot: Pot, *, spent: int = 0, added: int = 0) -> PotState:
        """Add to what a pot has spent, or has. Sums: so the order of changes does not matter."""

    def pots(self, wanted: Sequence[Pot] | None = None) -> dict[Pot, PotState]:
        """Those of *wanted*, or all that were ever used."""

    def open_beside(self) -> bool:
        """For an operator, beside the service: nothing is made or repaired. Whether it is built."""

    def open_rows(self) -> list[OpenRow]: ...

    def claim(self, rows: Iterable[OpenRow]) -> None:
        """They are open, and their owners have them: those that are missing are added.

        This process holds no advance any more.
        """

    def books(self) -> tuple[Books, LogPlace | None]:
        """What it knows of the log, and up to which record. None: nothing."""

    def keep(self, books: Books, place: LogPlace) -> None:
        """`books` will give these."""

    def rebuild(self, rows: Sequence[OpenRow]) -> None:
        """What was kept of the log is the state of every pot now, and *rows* are what is open."""

    def build(self) -> Build:
        """The last `rebuild` by any process."""

    def close(self) -> None: ...
