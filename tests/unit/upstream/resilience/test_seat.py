"""The place that a question has at a server."""

from __future__ import annotations

import asyncio

from app.upstream.fair_slots import FairSlots
from app.upstream.resilience.seat import Seat


def test_a_question_has_one_place_at_a_time_and_gives_it_back() -> None:
    first, second, full = FairSlots(2), FairSlots(2), FairSlots(2)
    assert full.take_now("bob", 1)

    async def ask() -> None:
        with Seat("alice") as seat:
            await seat.take(first)
            assert seat.move(first)
            assert first.in_flight == 1
            assert seat.move(second)
            assert (first.in_flight, second.in_flight) == (0, 1)
            full.take_now("alice", 1)
            assert not seat.move(full)
            assert second.in_flight == 1

    asyncio.run(ask())
    assert (first.in_flight, second.in_flight) == (0, 0)


def test_who_never_got_a_place_gives_none_back() -> None:
    with Seat("alice"):
        pass


def test_a_place_that_is_taken_over_is_given_back_once() -> None:
    first, second = FairSlots(2), FairSlots(2)
    with Seat("alice") as seat, Seat("alice") as other:
        assert seat.move(first)
        assert other.move(second)
        seat.take_over(other)
        assert (first.in_flight, second.in_flight) == (0, 1)
        other.leave()
        assert second.in_flight == 1
    assert second.in_flight == 0
