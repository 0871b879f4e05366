"""What a question reserves and spends, and how records hold both: whole numbers and decimal text alone."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalogue.claims import Claim, Most, terms_of
from app.catalogue.prices import BILLION, Price
from app.limits.budgets.reservations import MOST_AMOUNT, Periods, Tokens, reserve, shown

from ....support.budgets import DAY, NOON, PRICE, REQUEST, budget, claim, reservation, spent_members

MONEY, TOKENS = budget(money=BILLION), budget(tokens=1000)
counts = st.integers(0, 10**6)


def test_each_budget_reserves_its_own_kind_of_amount() -> None:
    one = reservation(MONEY, TOKENS)
    assert [share.amount for share in one.shares] == [100 * 1000 + 50 * 2000, 150]
    assert [(share.pot.budget, share.pot.period) for share in one.shares] == [(MONEY.id, DAY), (TOKENS.id, DAY)]
    assert all(share.is_own for share in one.shares)


def test_the_record_of_a_reservation_names_all_that_it_was_computed_from() -> None:
    prices = {"input": "1", "output": "2", "cached_input": "0.5"}
    tokens = {"input": 100, "output": 50}
    assert reservation(MONEY, TOKENS).members() == [
        {"id": MONEY.id, "period": DAY, "unit": "USD", "tokens": tokens, "prices": prices, "amount": "0.0002"},
        {"id": TOKENS.id, "period": DAY, "unit": "tokens", "tokens": tokens, "amount": 150},
    ]


def test_the_record_of_a_spend_names_what_the_server_told() -> None:
    told = Tokens(80, 20, cached=40, reasoning=5)
    members = {"input": 80, "output": 20, "cached_input": 40, "reasoning": 5}
    assert spent_members(reservation(MONEY, TOKENS), "usage", told) == [
        {"id": MONEY.id, "period": DAY, "unit": "USD", "by": "usage", "tokens": members, "amount": "0.0001"},
        {"id": TOKENS.id, "period": DAY, "unit": "tokens", "by": "usage", "tokens": members, "amount": 100},
    ]


def test_without_a_usage_the_reservation_is_spent_and_says_why() -> None:
    (entry,) = reservation(TOKENS).spent_members("reservation", [150], why="no_usage")
    assert (entry["by"], entry["why"], entry["amount"]) == ("reservation", "no_usage", 150)
    assert reservation(TOKENS).spent("nothing") == [0]


@given(counts, counts, st.data())
def test_no_usage_within_the_bound_costs_more_than_was_reserved(inputs: int, outputs: int, data: st.DataObject) -> None:
    a_price = st.integers(0, 10**12)
    price = data.draw(st.builds(Price, a_price, a_price, a_price, a_price, a_price))
    one = reserve(REQUEST, claim(MONEY, tokens=(inputs, outputs), price=price), "alice", NOON, Periods())
    cached = data.draw(st.integers(0, inputs))
    told = Tokens(inputs, outputs, cached, data.draw(st.integers(0, inputs - cached)), data.draw(st.integers(0, outputs)))
    assert one.spent("usage", told)[0] <= one.shares[0].amount
    assert told.are_plausible


@pytest.mark.parametrize("told", [Tokens(10**9 + 1, 0), Tokens(1, 10**18), Tokens(5, 5, cached=6), Tokens(5, 5, reasoning=6)])
def test_a_count_that_cannot_be_right_is_not_plausible(told: Tokens) -> None:
    assert not told.are_plausible


def test_an_amount_that_no_store_can_hold_stays_at_the_bound() -> None:
    dear = Price(10**18, 10**18, 10**18, 10**18, 10**18)
    one = reserve(REQUEST, claim(MONEY, tokens=(10**9, 10**9), price=dear), "alice", NOON, Periods())
    assert one.shares[0].amount == one.spent("usage", Tokens(10**9, 10**9))[0] == MOST_AMOUNT


def test_a_period_is_that_of_the_zone_and_of_the_moment_of_reserving() -> None:
    late = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)
    month = budget(tokens=10, per="month")
    berlin, periods = Claim(terms_of((month,), None, ZoneInfo("Europe/Berlin"), "EUR"), Most(1, 1)), Periods()
    assert reserve("k", berlin, "alice", late, periods).shares[0].pot.period == "2026-12"
    assert reserve("k", claim(month), "alice", late, periods).shares[0].pot.period == "2026-11"


def test_a_clock_that_is_set_comes_to_the_period_of_its_time() -> None:
    day, periods = claim(TOKENS), Periods()

    def period(moment: datetime) -> str:
        return reserve("k", day, "alice", moment, periods).shares[0].pot.period

    moments = [datetime(2026, 11, 30, 23, 59, 59, 999_999, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC), NOON]
    assert [period(moment) for moment in moments] == ["2026-11-30", "2026-12-01", DAY]


def test_the_budget_of_others_is_not_ones_own() -> None:
    assert [share.is_own for share in reservation(budget(None, tokens=5), budget("bob", tokens=5)).shares] == [False, False]


def test_money_is_shown_as_decimal_text_and_tokens_as_a_number() -> None:
    assert (shown(1_500_000_000, True), shown(-1, True), shown(7, False)) == ("1.5", "-0.000000001", 7)
    assert PRICE.input == BILLION
