"""The budgets of one process: reserve before a call, settle after its record."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, tzinfo
from typing import NamedTuple

from ...catalogue.budgets import Budget, begins_anew, period_of
from ...catalogue.claims import Claim
from ...errors import AuditUnavailable
from .errors import BudgetSpent, BudgetsUnavailable, spent_sentence
from .ledger import BudgetLedger
from .recovery import BudgetRecovery
from .reservations import Periods, Pot, Reservation, Share, reserve
from .store import PotState, Settle, StoreFailed, Take

LOG = logging.getLogger("app.limits")
RESERVED_RETRY_SECONDS = 1.0
"""Questions in progress free what they have reserved and do not need."""


MANY = 64
"""A budget that bears so many more questions like one can do without what that one frees."""


class Left(NamedTuple):
    """What is left of one budget of the principal's own."""

    budget: str
    counts_money: bool
    most: int
    left: int
    begins_anew: datetime


class Reserved(NamedTuple):
    reservation: Reservation
    states: tuple[PotState, ...]
    """Of the pots of its shares."""

    @property
    def is_tight(self) -> bool:
        """Whether others may soon wait for what is reserved and not spent."""
        for share, state in zip(self.reservation.shares, self.states, strict=True):
            if state.left(share.most) < MANY * share.amount:
                return True
        return False

    def left(self, spent: Sequence[int] | None = None) -> tuple[Left, ...]:
        """Of the principal's own. *spent*: once this question has spent so much of each share."""
        shares = self.reservation.shares
        if spent is None:
            return left_of(shares, self.states)
        several = zip(shares, self.states, spent, strict=True)
        return tuple([_left(share, state, share.amount - amount) for share, state, amount in several if share.is_own])


class BudgetNote:
    """What the headers of a response say of the principal's own budgets."""

    __slots__ = ("say",)

    def __init__(self) -> None:
        self.say: Callable[[], tuple[Left, ...]] = tuple
        """Computed when it is asked for, which is once."""

    @property
    def left(self) -> tuple[Left, ...]:
        return self.say()


def now_utc() -> datetime:
    return datetime.now(UTC)


class Budgets:
    """For one event loop."""

    def __init__(
        self,
        ledger: BudgetLedger,
        recovery: BudgetRecovery,
        *,
        now: Callable[[], datetime] = now_utc,
        on_alarm: Callable[[Share, PotState], None] = lambda share, state: None,
    ) -> None:
        """*on_alarm*: a budget has spent most of what it has, which is told once in a period."""
        self.ledger, self.recovery = ledger, recovery
        ledger.on_alarm = on_alarm
        self._now, self._periods = now, Periods()

    async def reserve(self, key: str, claim: Claim, principal: str) -> Reserved:
        """All of *claim*, or nothing. Raises BudgetSpent, BudgetsUnavailable."""
        reservation = reserve(key, claim, principal, self._now(), self._periods)
        outcome = await self.ledger.take(Take(key, self.recovery.after, reservation.shares))
        if outcome.lacking:
            raise self._refusal([(reservation.shares[place], outcome.states[place]) for place in outcome.lacking])
        return Reserved(reservation, outcome.states)

    async def settle(self, reservation: Reservation, spent: Sequence[int]) -> tuple[Left, ...]:
        """Durable in the log before. Empty where the store cannot say."""
        outcome = await self.ledger.settle(Settle(reservation.key, reservation.shares, tuple(spent)))
        return () if outcome is None else left_of(reservation.shares, outcome.states)

    def settle_later(self, reservation: Reservation, spent: Sequence[int]) -> None:
        """As `settle`, in a moment. For a budget of which much is left: nobody misses it."""
        self.ledger.settle_later(Settle(reservation.key, reservation.shares, tuple(spent)))

    def leave(self, reservation: Reservation, *, may_have_generated: bool) -> None:
        """Its record could not be written, or may have been: somebody looks into the log later."""
        self.ledger.leave(reservation.key, may_have_generated=may_have_generated)

    async def left_of(self, budgets: Sequence[Budget], zone: tzinfo) -> list[tuple[Budget, str, PotState, datetime]]:
        """Each of *budgets* with its present period, its state, and when the next begins.

        Raises BudgetsUnavailable.
        """
        now = self._now()
        pots = [Pot(budget.id, period_of(budget, now, zone)) for budget in budgets]
        if not budgets:
            return []
        if not self.ledger.is_ready:
            raise BudgetsUnavailable(retry_after=1)
        try:
            states = await self.ledger.do(lambda store: store.pots(pots))
        except StoreFailed:
            raise BudgetsUnavailable(retry_after=1) from None
        return [
            (budget, pot.period, states[pot], begins_anew(budget, now, zone)) for budget, pot in zip(budgets, pots, strict=True)
        ]

    async def look(self, *, keeps_books: bool) -> None:
        """Once a second: see to what is left. What fails is reported, and left to the next look."""
        try:
            await self.recovery.look(keeps_books=keeps_books)
        except StoreFailed as failed:
            self.ledger.report(str(failed))
        except AuditUnavailable:
            pass  # the log says itself that it is closed
        except Exception:  # if it ended the looks, the budgets would never be back
            LOG.exception("Looking after the budgets failed unexpectedly.")
            self.ledger.report("looking after them failed unexpectedly: see the service's own output")

    def _refusal(self, lacking: Sequence[tuple[Share, PotState]]) -> BudgetSpent:
        """For the budget that holds it up the longest."""

        def seconds(one: tuple[Share, PotState]) -> float:
            share, state = one
            room = share.most + state.added
            if share.amount > room:
                return math.inf
            if state.spent + share.amount <= room:
                return RESERVED_RETRY_SECONDS
            return max(1.0, (share.begins_anew - self._now()).total_seconds())

        share, state = longest = max(lacking, key=seconds)
        room, wait = share.most + state.added, seconds(longest)
        is_reserved = state.spent + share.amount <= room
        sentence = spent_sentence(share.pot.budget, share.amount > room, is_reserved, share.begins_anew)
        return BudgetSpent(sentence, share.pot.budget, retry_after=None if wait == math.inf else wait)


def left_of(shares: Sequence[Share], states: Sequence[PotState]) -> tuple[Left, ...]:
    return tuple([_left(share, state) for share, state in zip(shares, states, strict=True) if share.is_own])


def _left(share: Share, state: PotState, freed: int = 0) -> Left:
    """*freed*: since *state*, of what was open then."""
    left = max(0, state.left(share.most) + freed)
    return Left(share.pot.budget, share.counts_money, share.most + state.added, left, share.begins_anew)
