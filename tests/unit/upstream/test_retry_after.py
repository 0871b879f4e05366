"""Retry-After in every form in which servers send it."""

from __future__ import annotations

import pytest

from app.upstream.retry_after import told_seconds

NOW = 1_795_004_800.0  # Wed, 18 Nov 2026 12:26:40 GMT


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3", 3.0),
        ("2.5", 2.5),
        ("0", 0.0),
        (" 7 ", 7.0),
        ("9" * 30, float("9" * 30)),
        ("Wed, 18 Nov 2026 12:26:50 GMT", 10.0),
        ("Wednesday, 18-Nov-26 12:26:50 GMT", 10.0),
        ("Wed Nov 18 12:26:50 2026", 10.0),
        ("Wed, 18 Nov 2026 12:00:00 GMT", 0.0),
        ("-5", None),
        ("soon", None),
        ("1e3", None),
        ("inf", None),
        ("", None),
        (None, None),
        ("Wed, 99 Nov 2026 12:00:00 GMT", None),
        ("\u0665", None),
    ],
)
def test_what_a_server_says_is_read_or_says_nothing(value: str | None, seconds: float | None) -> None:
    assert told_seconds(value, NOW) == seconds
