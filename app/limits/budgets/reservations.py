"""What a question reserves of each budget, and what it spends in the end: whole numbers only.

Amounts are whole tokens, or whole 10^-9 units of the currency.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Any, Literal, NamedTuple

from ...catalogue.budgets import Budget, begins_anew, period_of
from ...catalogue.claims import Claim, Terms
from ...catalogue.prices import cost, decimal_text, most_cost

MOST_TOKENS = 10**9
"""A count above it is no count: no model reads or writes so much for one question."""
MOST_AMOUNT = 2**62
"""More fits neither into a pot nor into anybody's purse."""
MAX_KNOWN = 10_000
TOKENS = "tokens"
By = Literal["usage", "reservation", "nothing"]
"""What an amount that was spent is made from. `nothing`: the server cannot have generated."""


class Pot(NamedTuple):
    """One period of one budget."""

    budget: str
    period: str


class Tokens(NamedTuple):
    """What a server said it used. *cached*, *written*: of the input; *reasoning*: of the output."""

    input: int
    output: int
    cached: int = 0
    written: int = 0
    reasoning: int = 0

    @property
    def are_plausible(self) -> bool:
        """Also whether the parts fit into the whole."""
        parts_fit = self.cached + self.written <= self.input and self.reasoning <= self.output
        return parts_fit and max(self.input, self.output) <= MOST_TOKENS

    def members(self) -> dict[str, int]:
        """As records hold them: without the parts that are 0."""
        members = {"input": self.input, "output": self.output}
        if self.cached or self.written or self.reasoning:
            parts = {"cached_input": self.cached, "cache_write": self.written, "reasoning": self.reasoning}
            members |= {name: count for name, count in parts.items() if count}
        return members


class Line(NamedTuple):
    """One budget of some terms in its present period."""

    pot: Pot
    most: int
    counts_money: bool
    is_own: bool
    begins_anew: datetime
    named: dict[str, str]
    """As records hold it."""


class Share(NamedTuple):
    """What is reserved of one budget."""

    pot: Pot
    amount: int
    most: int
    """What the budget has for the whole period, without what an operator added."""
    counts_money: bool
    is_own: bool
    """Whether it is the principal's alone, so that they may see how much is left."""
    begins_anew: datetime


class Reservation(NamedTuple):
    """Of one attempt."""

    key: str
    """Of the store: the request's id, and the number of the attempt from the second on."""
    claim: Claim
    shares: tuple[Share, ...]
    lines: tuple[Line, ...]
    """Of each share."""

    def members(self) -> list[dict[str, Any]]:
        """`reserved`, as records hold it."""
        most = self.claim.most
        tokens: dict[str, Any] = {"input": most.input_tokens, "output": most.output_tokens}
        if most.calls:
            tokens["calls"] = dict(most.calls)
        prices = self.claim.terms.shown_prices
        return [
            {**line.named, "tokens": tokens, "prices": prices, "amount": decimal_text(share.amount)}
            if line.counts_money
            else {**line.named, "tokens": tokens, "amount": share.amount}
            for share, line in zip(self.shares, self.lines, strict=True)
        ]

    def spent(self, by: By, tokens: Tokens | None = None) -> list[int]:
        """The amount of each share. `usage` takes *tokens*."""
        if by == "nothing":
            return [0] * len(self.shares)
        if by == "reservation":
            return [share.amount for share in self.shares]
        assert tokens is not None
        price = self.claim.terms.price
        money = 0
        if price is not None:
            money = cost(
                price,
                tokens.input,
                tokens.output,
                cached_tokens=tokens.cached,
                written_tokens=tokens.written,
                reasoning_tokens=tokens.reasoning,
                calls=self.claim.most.calls,
            )
        return [min(MOST_AMOUNT, money if line.counts_money else tokens.input + tokens.output) for line in self.lines]

    def spent_members(
        self, by: By, amounts: Sequence[int], tokens: Tokens | None = None, why: str | None = None
    ) -> list[dict[str, Any]]:
        """`spent`, as records hold it. *why*: a usage is missing, or is not used."""
        reason: dict[str, Any] = {"by": by} if why is None else {"by": by, "why": why}
        if tokens is not None:
            reason["tokens"] = tokens.members()
        return [
            {**line.named, **reason, "amount": decimal_text(amount) if line.counts_money else amount}
            for line, amount in zip(self.lines, amounts, strict=True)
        ]


class Periods:
    """The periods of now: a process computes each once, and what is the same until the next one."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, tzinfo], tuple[datetime, datetime, str]] = {}
        self._lines: dict[tuple[int, str], tuple[datetime, datetime, Terms, tuple[Line, ...]]] = {}

    def lines(self, terms: Terms, principal: str, now: datetime) -> tuple[Line, ...]:
        """Of each budget of *terms*, for the period that *now* is in."""
        found = self._lines.get((id(terms), principal))
        if found is None or found[2] is not terms or not found[0] <= now < found[1]:
            if len(self._lines) >= MAX_KNOWN:
                self._lines.clear()
            lines = tuple(self._line(budget, terms, principal, now) for budget in terms.budgets)
            found = now, min(line.begins_anew for line in lines), terms, lines
            self._lines[id(terms), principal] = found
        return found[3]

    def _line(self, budget: Budget, terms: Terms, principal: str, now: datetime) -> Line:
        period, next_begins = self.at(budget, terms.zone, now)
        unit = terms.currency if budget.counts_money else TOKENS
        named = {"id": budget.id, "period": period, "unit": unit}
        is_own = budget.principal == principal
        return Line(Pot(budget.id, period), budget.most, budget.counts_money, is_own, next_begins, named)

    def at(self, budget: Budget, zone: tzinfo, now: datetime) -> tuple[str, datetime]:
        """The name of the period of *budget* that *now* is in, and when the next one begins."""
        found = self._found.get((budget.per, zone))
        if found is None or not found[0] <= now < found[1]:  # also where the clock was set back
            found = now, begins_anew(budget, now, zone), period_of(budget, now, zone)
            self._found[budget.per, zone] = found
        return found[2], found[1]


def reserve(key: str, claim: Claim, principal: str, now: datetime, periods: Periods) -> Reservation:
    """The reservation that *claim* needs at *now*."""
    most, terms = claim.most, claim.terms
    tokens = most.input_tokens + most.output_tokens
    money = most_cost(terms.price, most.input_tokens, most.output_tokens, calls=most.calls) if terms.price else 0
    lines = periods.lines(terms, principal, now)
    shares = [
        Share(pot, min(MOST_AMOUNT, money if counts_money else tokens), has, counts_money, is_own, next_begins)
        for pot, has, counts_money, is_own, next_begins, _ in lines
    ]
    return Reservation(key, claim, tuple(shares), lines)


def shown(amount: int, is_money: bool) -> str | int:
    """As records and answers show it: money as decimal text, tokens as a number."""
    return decimal_text(amount) if is_money else amount
