"""The terms of a principal at a model: a price only where a budget counts money."""

from __future__ import annotations

from datetime import UTC

from app.catalogue.claims import terms_of
from app.catalogue.prices import BILLION

from ...support.budgets import PRICE, budget

MONEY, TOKENS = budget(money=BILLION), budget(tokens=5)


def test_the_price_is_shown_once_as_records_hold_it() -> None:
    terms = terms_of((TOKENS, MONEY), PRICE, UTC, "USD")
    assert (terms.counts_money, terms.price, terms.shown_prices) == (True, PRICE, PRICE.members())


def test_a_budget_in_tokens_needs_no_price() -> None:
    terms = terms_of((TOKENS,), PRICE, UTC, "USD")
    assert (terms.counts_money, terms.price, terms.shown_prices) == (False, None, None)


def test_a_model_without_a_price_has_none() -> None:
    terms = terms_of((MONEY,), None, UTC, "USD")
    assert (terms.counts_money, terms.price, terms.shown_prices) == (True, None, None)
