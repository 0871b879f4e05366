"""The headers that show what is left of a principal's own budgets."""

from __future__ import annotations

from datetime import UTC, datetime

from app.api.budget_headers import budget_headers
from app.catalogue.prices import BILLION
from app.limits.budgets.budgets import Left

NOON, MIDNIGHT = datetime(2026, 11, 26, 12, tzinfo=UTC), datetime(2026, 11, 27, tzinfo=UTC)


def left(amount: int, *, counts_money: bool, budget: str = "principal=alice/day/x") -> Left:
    return Left(budget, counts_money, 2 * BILLION, amount, MIDNIGHT)


def test_the_budget_of_which_least_is_left_is_shown() -> None:
    first, last = "model=a/day/x", "model=z/day/x"
    several = [left(900, counts_money=False, budget=first), left(80, counts_money=False, budget=last)]
    several.append(left(BILLION, counts_money=True))
    assert dict(budget_headers([*several, left(5, counts_money=True)], NOON)) == {
        b"x-ratelimit-limit-tokens": b"2000000000",
        b"x-ratelimit-remaining-tokens": b"80",
        b"x-ratelimit-reset-tokens": b"43200s",
        b"x-budget-remaining": b"0.000000005",
    }


def test_without_a_budget_of_ones_own_there_are_none() -> None:
    assert budget_headers([]) == []
