"""What one question may take of the budgets in force: decided when it is prepared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import NamedTuple

from .budgets import Budget
from .prices import NO_CALLS, Price


class Most(NamedTuple):
    """The most that one question can use. Nothing that a server bills is above it."""

    input_tokens: int
    output_tokens: int
    """Of all choices of the answer together, with what the caller does not see."""
    calls: Mapping[str, int] = NO_CALLS
    """Of each tool that runs on the model's server."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What applies to all questions of one principal to one model, as long as the policy lasts."""

    budgets: tuple[Budget, ...]
    """All that a question must fit into; at least one."""
    price: Price | None
    """None only where no budget counts money, or where the model has none."""
    zone: tzinfo
    currency: str
    counts_money: bool
    shown_prices: Mapping[str, object] | None
    """As records hold the price."""


def terms_of(budgets: tuple[Budget, ...], price: Price | None, zone: tzinfo, currency: str) -> Terms:
    counts_money = any(budget.counts_money for budget in budgets)
    price = price if counts_money else None
    return Terms(budgets, price, zone, currency, counts_money, price.members() if price else None)


class Claim(NamedTuple):
    """What one question takes, by the policy that it began with."""

    terms: Terms
    most: Most
