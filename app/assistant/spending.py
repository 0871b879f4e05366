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
from ..upstream.attempts import Attempts, Try
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
    place: int
    """In the list of all tries: of the one that it is for, which may not have begun."""
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

    def __init__(
        self, claim: Claim | None, budgets: Budgets, principal: str, request_id: str, note: BudgetNote, attempts: Attempts
    ) -> None:
        """*claim*: of the first attempt; None where a budget may apply to a fallback only.

        *attempts*: say which server cannot have generated anything.
        """
        self._claim, self._budgets, self._note = claim, budgets, note
        self._principal, self._request_id = principal, request_id
        self._attempts = attempts
        self._parts: list[_Part] = []
        self._count = 0

    async def begin(self) -> list[dict[str, Any]]:
        """Reserve for the first attempt; `reserved` for the record.

        Empty where no budget applies to the first model. Raises BudgetSpent, BudgetsUnavailable.
        """
        return [] if self._claim is None else (await self._reserve(self._claim)).reserved.reservation.members()

    async def may_try(self, call: PreparedCall) -> Mapping[str, Any] | None:
        """As Spending: one that cannot have generated leaves its reservation to the next."""
        claim = call.claim
        for last in [part for part in self._parts if self._is_spare(part)]:
            if claim is not None and claim == last.reservation.claim:
                last.place = len(self._attempts.tries)
                return {}
            self._parts.remove(last)
            await self._budgets.settle(last.reservation, last.reservation.spent("nothing"))
        if claim is None:
            return {}
        try:
            part = await self._reserve(claim)
        except (BudgetSpent, BudgetsUnavailable):
            return None
        return {"reserved": [{**one, "attempt": part.attempt} for one in part.reservation.members()]}

    @property
    def has_reserved(self) -> bool:
        """Whether a budget has applied, so that the record of the end holds `spent`."""
        return self._count > 0

    def answered(self, usage: Usage | None) -> list[dict[str, Any]]:
        """`spent` for the record of an answer."""
        part = next((part for part in self._parts if self._try_of(part) is self._attempts.now), None)
        if part is not None:
            tokens = tokens_of(usage) if usage else None
            if tokens is None:
                part.why = NO_USAGE
            elif not tokens.are_plausible:
                part.why = NOT_PLAUSIBLE
            else:
                part.by, part.tokens = "usage", tokens
        return self.failed()

    def failed(self) -> list[dict[str, Any]]:
        """As `answered`, of a failure. An answer whose record was refused is paid for."""
        for part in self._parts:
            if part.by != "usage" and self._is_free(part):
                part.by = "nothing"
        return self._members()

    def settle(self) -> Coroutine[Any, Any, None] | None:
        """Once the record is durable: at once, if others may wait for it; what to await then.

        Otherwise in a moment, together with others.
        """
        for part in self._parts:
            if part.reserved.is_tight:
                return self._settle()
        for part in self._parts:
            self._budgets.settle_later(part.reservation, part.amounts)
            self._note.say = partial(part.reserved.left, part.amounts)
        self._parts.clear()
        return None

    async def give_up(self, *, is_recorded: bool) -> None:
        """A record could not be written. *is_recorded*: it may have been, or an earlier one was."""
        is_sent = any(not one.is_free for one in self._attempts.tries)
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
        part = _Part(attempt, reserved, len(self._attempts.tries))
        self._parts.append(part)
        return part

    def _try_of(self, part: _Part) -> Try | None:
        """None: it has not begun."""
        tries = self._attempts.tries
        return tries[part.place] if part.place < len(tries) else None

    def _is_free(self, part: _Part) -> bool:
        """Whether its server cannot have generated anything, so far."""
        one = self._try_of(part)
        return one is None or one.is_free

    def _is_spare(self, part: _Part) -> bool:
        """Whether it is free, and stays so."""
        one = self._try_of(part)
        return one is not None and one.is_over and one.is_free

    def _members(self) -> list[dict[str, Any]]:
        spent = list[dict[str, Any]]()
        for part in self._parts:
            reservation = part.reservation
            part.amounts = reservation.spent(part.by, part.tokens)
            members = reservation.spent_members(part.by, part.amounts, part.tokens, part.why)
            spent += members if part.attempt == 1 else [{**one, "attempt": part.attempt} for one in members]
        return spent


def spending_of(
    call: PreparedCall, budgets: Budgets | None, principal: Principal, origin: Origin, attempts: Attempts
) -> QuestionSpending | None:
    """None: no budget applies, to a fallback neither."""
    if call.claim is None and (budgets is None or not call.fallbacks):
        return None
    assert budgets is not None, "a claim needs its budgets"
    return QuestionSpending(call.claim, budgets, principal.user_id, origin.request_id, origin.budgets, attempts)


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
