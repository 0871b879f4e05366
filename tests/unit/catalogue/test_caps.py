"""Several caps together."""

from __future__ import annotations

from dataclasses import replace

from app.catalogue.caps import largest

from ...support.caps import CAPS


def test_of_several_the_largest_of_each_counts() -> None:
    low = replace(CAPS, messages=1, clamps=True, timeout_seconds=0.5)
    high = replace(CAPS, messages=5000, body_bytes=1024, requests_per_minute=61)
    assert largest([low, high]) == replace(CAPS, messages=5000, clamps=True, requests_per_minute=61)
    assert largest([low]) == low
