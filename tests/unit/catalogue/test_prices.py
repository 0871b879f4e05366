"""Prices: whole billionths, rounded up, and never below what the parts cost."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalogue.prices import Price, amount_of, cost, decimal_text, most_cost

MILLION = 1_000_000
CHEAP = Price(150_000_000, 600_000_000, 75_000_000, 187_500_000, 600_000_000, {"web_search": 10_000_000})
prices = st.builds(Price, *[st.integers(0, 10**15)] * 5, st.just({}))
counts = st.integers(0, 10**9)


def test_a_million_tokens_cost_their_price() -> None:
    assert cost(CHEAP, MILLION, 0) == 150_000_000
    assert cost(CHEAP, 0, MILLION) == 600_000_000
    assert cost(CHEAP, MILLION, 0, cached_tokens=MILLION) == 75_000_000
    assert cost(CHEAP, MILLION, 0, written_tokens=MILLION) == 187_500_000
    assert cost(CHEAP, 0, 0, calls={"web_search": 3}) == 30_000_000


def test_a_part_of_a_billionth_is_rounded_up_once() -> None:
    price = Price(1, 1, 1, 1, 1)
    assert cost(price, 1, 0) == cost(price, 999_999, 1) == 1
    assert cost(price, MILLION, 1) == 2
    assert cost(price, 0, 0) == 0


def test_more_cached_tokens_than_there_are_cost_no_less_than_nothing() -> None:
    assert cost(CHEAP, 1, 1, cached_tokens=MILLION, reasoning_tokens=MILLION) == 75_000_000 + 600_000_000


def test_a_call_without_a_price_is_not_free() -> None:
    with pytest.raises(KeyError):
        cost(CHEAP, 1, 1, calls={"mcp": 1})


@given(prices, counts, counts, st.data())
def test_what_is_reserved_is_never_below_the_cost(price: Price, given_tokens: int, answered: int, data: st.DataObject) -> None:
    cached = data.draw(st.integers(0, given_tokens))
    written = data.draw(st.integers(0, given_tokens - cached))
    thought = data.draw(st.integers(0, answered))
    spent = cost(price, given_tokens, answered, cached_tokens=cached, written_tokens=written, reasoning_tokens=thought)
    assert spent <= most_cost(price, given_tokens, answered)


@given(st.integers(0, 10**18))
def test_an_amount_survives_its_text(amount: int) -> None:
    text = decimal_text(amount)
    assert amount_of(text, 10**9) == amount
    assert set(text) <= set("0123456789.")
    assert Decimal(text) * 10**9 == amount


@given(st.integers(0, 10**15), st.integers(1, 9))
def test_no_digit_is_lost(amount: int, places: int) -> None:
    value = Decimal(amount).scaleb(-9) + Decimal(1).scaleb(-9 - places)
    with pytest.raises(ValueError, match="digits after the point"):
        amount_of(value, 10**9)


@pytest.mark.parametrize(
    ("amount", "text"), [(0, "0"), (1, "0.000000001"), (1_500_000_000, "1.5"), (10**9, "1"), (-1, "-0.000000001")]
)
def test_an_amount_is_shown_as_a_plain_number(amount: int, text: str) -> None:
    assert decimal_text(amount) == text


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "1.0000000001", "1e-10", "11", "x", "", "1e99999999999999999999"])
def test_what_is_no_amount_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="takes a number"):
        amount_of(value, 10)


def test_records_hold_prices_as_decimal_text() -> None:
    assert CHEAP.members() == {
        "input": "0.15",
        "output": "0.6",
        "cached_input": "0.075",
        "cache_write": "0.1875",
        "per_call": {"web_search": "0.01"},
    }
