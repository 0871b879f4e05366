"""Lengths of time as an operator types them, and points in time as records have them."""

from __future__ import annotations

import re

import pytest

from app.kit.moments import duration, iso, moment, now_utc, since

from ...support.tables import for_each

DAY = 86_400


@pytest.mark.parametrize(("text", "seconds"), [("90d", 90 * DAY), ("12h", 43_200), ("30m", 1_800), ("45s", 45), (" 1d ", DAY)])
def test_a_number_and_a_unit_are_seconds(text: str, seconds: int) -> None:
    assert duration(text, 365 * DAY) == seconds


@for_each("text", ["", "d", "90", "0s", "-1d", "1.5h", "1w", "1d2h", "٣d", "366d", "9999999999s", "1d\nx"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="such as 90d: at most 365d"):
        duration(text, 365 * DAY)


def test_a_moment_is_written_in_utc_to_the_second() -> None:
    assert iso(moment(1_790_000_000)) == "2026-09-21T14:13:20Z"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2026-09-01", "2026-09-01T00:00:00.000000Z"),
        ("2026-09-01T09:15:00Z", "2026-09-01T09:15:00.000000Z"),
        ("2026-09-01T09:15:00.5+02:00", "2026-09-01T07:15:00.500000Z"),
        ("30d", "2026-08-22T14:13:20.000000Z"),
        ("45s", "2026-09-21T14:12:35.000000Z"),
        ("0001-01-01", "0001-01-01T00:00:00.000000Z"),
        ("9999-12-31T23:59:59.999999", "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_a_day_a_time_or_a_length_of_time_is_a_moment(text: str, found: str) -> None:
    assert since(text, moment(1_790_000_000)) == found


@for_each("text", ["", "soon", "2026-13-01", "0d", "-1d", "yesterday", "2026-09-01 25:00", "0001-01-01T00:00+14:00"])
def test_anything_else_is_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match="a moment is a day"):
        since(text, moment(1_790_000_000))


def test_the_present_time_is_in_utc_with_six_decimals() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", now_utc())
