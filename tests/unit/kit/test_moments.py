"""Lengths of time as an operator types them, and points in time as records have them."""

from __future__ import annotations

import pytest

from app.kit.moments import duration, iso, moment

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
