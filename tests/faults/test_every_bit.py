"""No edit of a log goes unnoticed: the short version of `python -m tests.faults bits`."""

from __future__ import annotations

from . import every_bit


def test_a_flipped_bit_a_cut_a_drop_a_swap_a_repeat_and_an_insertion_are_found_and_their_place_is_named() -> None:
    """Every seventh edit of each kind: prime to eight, so that all bits of a byte are among them."""
    assert every_bit.edit_everything(step=7).answers > 80_000
