"""Budgets: in which period a moment is, and when the next one begins, wherever the clocks are put forward or back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.catalogue.budgets import Budget, PeriodName, begins_anew, period_of

NAMES = ("Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Africa/Cairo", "America/Havana", "Pacific/Apia")
ZONES = [UTC, *map(ZoneInfo, NAMES)]
PER: list[PeriodName] = ["minute", "day", "month"]
MOMENT = datetime(2026, 11, 26, 23, 30, 15, tzinfo=UTC)


def budget(per: PeriodName) -> Budget:
    return Budget("all/money", per, money=1)


@pytest.mark.parametrize(("per", "period"), [("minute", "2026-11-26T23:30"), ("day", "2026-11-27"), ("month", "2026-11")])
def test_a_period_is_that_of_the_time_zone(per: PeriodName, period: str) -> None:
    assert period_of(budget(per), MOMENT, ZoneInfo("Europe/Berlin")) == period


def test_a_month_begins_where_the_operator_is() -> None:
    end = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)
    assert period_of(budget("month"), end, ZoneInfo("Europe/Berlin")) == "2026-12"
    assert period_of(budget("month"), end, UTC) == "2026-11"
    assert begins_anew(budget("month"), MOMENT, ZoneInfo("Europe/Berlin")) == datetime(2026, 11, 30, 23, tzinfo=UTC)
    assert begins_anew(budget("month"), datetime(2026, 12, 31, tzinfo=UTC), UTC) == datetime(2027, 1, 1, tzinfo=UTC)


@given(st.sampled_from(PER).map(budget), st.datetimes(datetime(1990, 1, 1), datetime(2037, 12, 31)), st.sampled_from(ZONES))
@example(budget("day"), datetime(2011, 12, 30, 9, 59, 59), ZoneInfo("Pacific/Apia"))  # a day that never was
@example(budget("day"), datetime(2026, 4, 23, 21, 30), ZoneInfo("Africa/Cairo"))  # no midnight
@example(budget("day"), datetime(2026, 11, 1, 4, 30), ZoneInfo("America/Havana"))  # midnight twice
def test_the_next_period_begins_where_this_one_ends(one: Budget, naive: datetime, zone: ZoneInfo) -> None:
    time = naive.replace(tzinfo=UTC)
    anew, period = begins_anew(one, time, zone), period_of(one, time, zone)
    assert time < anew
    assert period_of(one, anew, zone) > period
    assert period_of(one, anew - timedelta(microseconds=1), zone) == period


def test_a_budget_for_each_becomes_that_of_a_principal() -> None:
    each = Budget("principal=*/day/money", "day", principal="*", money=5)
    assert each.of("alice") == Budget("principal=alice/day/money", "day", principal="alice", money=5)


def test_records_hold_a_budget_without_what_is_not_set() -> None:
    role = Budget("role=a.b/day/money", "day", role="a.b", money=1_500_000_000)
    assert role.members() == {"id": "role=a.b/day/money", "role": "a.b", "money": "1.5", "per": "day"}
    everyone = Budget("all/month/tokens", "month", tokens=9)
    assert everyone.members() == {"id": "all/month/tokens", "tokens": 9, "per": "month"}
    assert (role.most, everyone.most, role.counts_money, everyone.counts_money) == (1_500_000_000, 9, True, False)
