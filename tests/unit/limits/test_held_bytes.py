"""The memory that bodies take is bounded in all and for each holder."""

from __future__ import annotations

import pytest

from app.limits.held_bytes import HeldBytes, Hold, TooMuchInFlight


def test_one_holder_cannot_take_all_and_all_cannot_take_more() -> None:
    held = HeldBytes(100, 40)
    held.take("alice", 40)
    with pytest.raises(TooMuchInFlight):
        held.take("alice", 1)
    held.take("bob", 40)
    with pytest.raises(TooMuchInFlight):
        held.take(None, 21)
    held.take(None, 20)
    assert held.total == 100


def test_a_hold_gives_back_what_it_took_and_no_more() -> None:
    held = HeldBytes(100, 100)
    one, other = Hold(held, "alice"), Hold(held, "alice")
    one.add(30)
    one.add(30)
    other.add(30)
    with pytest.raises(TooMuchInFlight):
        one.add(11)
    one.end()
    one.end()
    assert held.total == 30
    other.end()
    assert held.total == 0
