"""Every edit of a log is noticed: the short version of `python -m tests.faults bits`."""

from __future__ import annotations

from . import every_bit


def test_every_kind_of_edit_is_found_and_its_place_is_named() -> None:
    """Every seventh edit of each kind: seven and eight have no common divisor, so every bit of a byte occurs."""
    assert every_bit.edit_everything(step=7).answers > 80_000
