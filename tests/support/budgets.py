"""Budgets, prices and claims for tests, and the books of a log."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from app.catalogue.budgets import Budget, budget_id
from app.catalogue.claims import Claim, Most, terms_of
from app.catalogue.prices import BILLION, Price
from app.limits.budgets.reservations import By, Periods, Pot, Reservation, Share, Tokens, reserve

NOON = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
DAY = "2026-11-26"
REQUEST = "a" * 32
PRICE = Price(input=BILLION, output=2 * BILLION, cached_input=BILLION // 2, cache_write=BILLION, reasoning=2 * BILLION)
"""A dollar for a million tokens of input, so a thousand billionths for each, and twice that for output."""


def budget(principal: str | None = "alice", *, money: int | None = None, tokens: int | None = None, per: Any = "day") -> Budget:
    return Budget(budget_id(per, money is not None, principal=principal), per, principal=principal, money=money, tokens=tokens)


def claim(*budgets: Budget, tokens: tuple[int, int] = (100, 50), price: Price | None = PRICE) -> Claim:
    return Claim(terms_of(budgets, price, UTC, "USD"), Most(*tokens))


def spent_members(one: Reservation, by: By, tokens: Tokens | None = None) -> list[dict[str, Any]]:
    """As the record of its end has them."""
    return one.spent_members(by, one.spent(by, tokens), tokens)


def reservation(*budgets: Budget, key: str = REQUEST, tokens: tuple[int, int] = (100, 50), now: datetime = NOON) -> Reservation:
    return reserve(key, claim(*budgets, tokens=tokens), "alice", now, Periods())


OWN_POT = Pot("principal=alice/day/tokens", DAY)


def share(amount: int, most: int = 100, *, pot: Pot = OWN_POT, is_own: bool = True) -> Share:
    return Share(pot, amount, most, counts_money=False, is_own=is_own, begins_anew=datetime(2026, 11, 27, tzinfo=UTC))
