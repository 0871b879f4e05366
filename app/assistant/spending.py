"""What one question takes of the budgets: reserved for each attempt, settled after its record."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..catalogue.claims import Claim
from ..limits.budgets.budgets import BudgetNote, Budgets, Reserved
from ..limits.budgets.errors import BudgetSpent, BudgetsUnavailable
from ..limits.budgets.found import key_of
from ..limits.budgets.reservations import By, Reservation, Tokens
from ..security.models import Principal
from ..upstream.attempts import Attempts
from ..upstream.call import PreparedCall
from ..upstream.completion import Usage
from .models import Origin

NO_USAGE = "no_usage"
"""The server told no counts of tokens."""
NOT_PLAUSIBLE = "usage_not_plausible"


@dataclass(slots=True)
class _Part:
    """The reservation of one attempt."""

    attempt: int
    reserved: Reserved
    is_free: bool = False
    """Whether its server cannot have generated anything."""
    by: By = "reservation"
    tokens: Tokens | None = None
    why: str | None = None
    amounts: Sequence[int] = ()
    """What is spent of each share, as the record says."""

    @property
    def reservation(self) -> Reservation:
        return self.reserved.reservation


class QuestionSpending:
    """Of one question. A Spending for the loop of attempts."""

    def __init__(self, claim: Claim | None, budgets: Budgets, principal: str, request_id: str, note: BudgetNote) -> None:
        """*claim*: of the first attempt; None where a budget may apply to a fallback only."""
        self._claim, self._budgets, self._note = claim, budgets, note
        self._principal, self._request_id = principal, request_id
        self._parts: list[_Part] = []
        self._count = 0
        self._now: _Part | None = None
        """Of the present attempt; None where no budget applies to its model."""

    async def begin(self) -> list[dict[str, Any]]:
        """Reserve for the first attempt; `reserved` for the record.

        Empty where no budget applies to the first model. Raises BudgetSpent, BudgetsUnavailable.
        """
        return [] if self._claim is None else (await self._reserve(self._claim)).reservation.members()

    async def may_try(self, call: PreparedCall) -> Mapping[str, Any] | None:
        """As Spending: one that cannot have generated leaves its reservation to the next."""
        last, claim = self._now, call.claim
        if last is not None and last.is_free:
            if claim is not None and claim == last.reservation.claim:
                last.is_free = False
                return {}
            self._parts.remove(last)
            await self._budgets.settle(last.reservation, last.reservation.spent("nothing"))
        self._now = None
        if claim is None:
            return {}
        try:
            part = await self._reserve(claim)
        except (BudgetSpent, BudgetsUnavailable):
            return None
        return {"reserved": [{**one, "attempt": part.attempt} for one in part.reservation.members()]}

    def ended(self, call: PreparedCall, *, is_free: bool) -> None:
        """As Spending."""
        if self._now is not None:
            self._now.is_free = is_free

    @property
    def has_reserved(self) -> bool:
        """Whether a budget has applied, so that the record of the end holds `spent`."""
        return self._count > 0

    def answered(self, usage: Usage | None) -> list[dict[str, Any]]:
        """`spent` for the record of an answer."""
        part = self._now
        if part is not None:
            tokens = tokens_of(usage) if usage else None
            if tokens is None:
                part.why = NO_USAGE
            elif not tokens.are_plausible:
                part.why = NOT_PLAUSIBLE
            else:
                part.by, part.tokens = "usage", tokens
        return self._members()

    def failed(self, *, is_free: bool) -> list[dict[str, Any]]:
        """As `answered`, of a failure. *is_free*: as in `ended`, of the last attempt."""
        if self._now is not None:
            self._now.is_free = is_free
        for part in self._parts:
            if part.is_free and part.by != "usage":  # an answer whose record was refused is paid for
                part.by = "nothing"
        return self._members()

    def settle(self) -> Coroutine[Any, Any, None] | None:
        """Once the record is durable: at once, if others may wait for it; what to await then.

        Otherwise in a moment, together with others.
        """
        if any(part.reserved.is_tight for part in self._parts):
            return self._settle()
        for part in self._parts:
            self._budgets.settle_later(part.reservation, part.amounts)
            self._note.say = partial(part.reserved.left, part.amounts)
        self._parts.clear()
        return None

    async def give_up(self, attempts: Attempts, *, is_recorded: bool) -> None:
        """A record could not be written. *is_recorded*: it may have been, or an earlier one was."""
        is_sent = any(not one.is_free for one in attempts.tries)
        for part in self._parts:
            if is_recorded:
                self._budgets.leave(part.reservation, may_have_generated=is_sent)
            else:
                await self._budgets.settle(part.reservation, part.reservation.spent("nothing"))
        self._parts.clear()

    async def _settle(self) -> None:
        for part in self._parts:
            left = await self._budgets.settle(part.reservation, part.amounts)
            self._note.say = partial(tuple, left)
        self._parts.clear()

    async def _reserve(self, claim: Claim) -> _Part:
        attempt = self._count + 1
        key = key_of(self._request_id, attempt)
        reserved = await self._budgets.reserve(key, claim, self._principal)
        self._note.say, self._count = reserved.left, attempt
        self._now = part = _Part(attempt, reserved)
        self._parts.append(part)
        return part

    def _members(self) -> list[dict[str, Any]]:
        spent = list[dict[str, Any]]()
        for part in self._parts:
            part.amounts = part.reservation.spent(part.by, part.tokens)
            attempt = {"attempt": part.attempt} if part.attempt > 1 else {}
            members = part.reservation.spent_members(part.by, part.amounts, part.tokens, part.why)
            spent += [one | attempt for one in members] if attempt else members
        return spent


def spending_of(call: PreparedCall, budgets: Budgets | None, principal: Principal, origin: Origin) -> QuestionSpending | None:
    """None: no budget applies, to a fallback neither."""
    if call.claim is None and (budgets is None or not call.fallbacks):
        return None
    assert budgets is not None, "a claim needs its budgets"
    return QuestionSpending(call.claim, budgets, principal.user_id, origin.request_id, origin.budgets)


def tokens_of(usage: Usage) -> Tokens:
    """All that is billed."""
    further_input, further_output = usage.further
    return Tokens(
        usage.input_tokens + further_input,
        usage.output_tokens + further_output,
        usage.cached,
        usage.written,
        usage.reasoning,
    )
