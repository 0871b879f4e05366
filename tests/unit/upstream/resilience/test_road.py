"""One question on its way: beside another server, where it goes on, and which error its caller gets."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest

from app.errors import ModelNotFound, UpstreamError, UpstreamUnavailable
from app.upstream.bounds import LARGE_BYTES
from app.upstream.call import PreparedCall
from app.upstream.errors import UpstreamRefused
from app.upstream.fair_slots import FairSlots
from app.upstream.resilience.kinds import BreakerOpen
from app.upstream.resilience.road import Turn, made

from ....support.asking import prepared
from ....support.roads import road

LAB, SPARE = (SimpleNamespace(name=name) for name in ("lab", "spare"))
BUSY, WRONG, OPEN = UpstreamUnavailable(), UpstreamRefused(400), BreakerOpen()


def test_a_second_server_is_asked_from_a_seat_of_its_own_with_less_time() -> None:
    slots, others = FairSlots(8), FairSlots(8)
    one = road(LAB, own_seconds=5.0)
    begun = monotonic()
    one.set_out()
    assert one.own_until is not None
    assert begun + 5 <= one.own_until <= monotonic() + 5
    assert one.seat.move(slots)
    other = one.beside()
    assert (other.is_short, other.own_until, other.until, other.attempts.tries) == (True, None, one.until, one.attempts.tries)
    assert other.seat.move(others)
    assert (slots.in_flight, others.in_flight) == (1, 1)


def test_who_follows_the_second_server_leaves_the_first() -> None:
    slots, others = FairSlots(8), FairSlots(8)
    one = road(LAB)
    one.attempts.begin("lab", None)
    one.seat.move(slots)
    other = one.beside()
    other.attempts.begin("spare", None)
    other.seat.move(others)
    other.call = replace(one.call, upstream=SPARE)
    one.follow(one)
    assert (one.call.upstream.name, slots.in_flight, others.in_flight) == ("lab", 1, 1)
    one.follow(other)
    assert (one.call.upstream.name, one.attempts.now.server, slots.in_flight, others.in_flight) == ("spare", "spare", 0, 1)
    other.seat.leave()
    assert others.in_flight == 1, "it is the question's now"


@pytest.mark.parametrize(
    ("errors", "told"),
    [([WRONG, BUSY], BUSY), ([WRONG, OPEN], WRONG), ([OPEN, OPEN], OPEN), ([WRONG, UpstreamRefused(404)], WRONG)],
)
def test_the_caller_gets_the_error_that_passes_of_a_server_that_was_asked(
    errors: list[UpstreamError], told: UpstreamError
) -> None:
    turn = Turn(prepared(LAB))
    for error in errors:
        turn.note(error)
    assert turn.error is told


@pytest.mark.parametrize(("size", "is_in_a_thread"), [(LARGE_BYTES, False), (LARGE_BYTES + 1, True)])
def test_a_large_call_is_prepared_in_a_thread(size: int, is_in_a_thread: bool) -> None:
    main, call = threading.get_ident(), prepared(LAB)

    def make() -> Any:
        return threading.get_ident() != main

    assert bool(asyncio.run(made(make, replace(call, body=b"x" * size)))) is is_in_a_thread


def test_a_call_that_is_not_taken_is_refused() -> None:
    def make() -> PreparedCall:
        raise ModelNotFound("secret", is_known=True)

    with pytest.raises(ModelNotFound):
        asyncio.run(made(make, prepared(LAB)))
