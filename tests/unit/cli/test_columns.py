"""Columns are as wide as their longest text."""

from __future__ import annotations

from app.cli.columns import columns


def test_columns_are_as_wide_as_their_longest_text() -> None:
    assert columns(["a", "b"], [["long", "x"], ["y", "a\nb"]]) == "a     b\nlong  x\ny     a\\nb"
