"""The one deadline of a question: the operator's, or an earlier one that the caller asks for."""

from __future__ import annotations

from time import monotonic

from ..upstream.resilience.road import Road
from ..upstream.resilience.seat import Seat
from .exchange import Exchange

LONG_WAIT_SECONDS = 1.0
"""Who waited longer for a seat leaves the server less than its time."""


def road_of(exchange: Exchange, seat: Seat, *, is_plain: bool = False) -> Road:
    """The way of a question, with its wait for a seat. A stream's deadline is for its first event.

    Who asks for less gets the answer a moment before.
    """
    call, asked = exchange.call, exchange.origin.timeout_seconds
    is_lowered = asked is not None and asked < call.timeout_seconds
    seconds = call.timeout_seconds if asked is None or not is_lowered else asked - min(0.5, asked / 50)
    until = seat.since + (seconds_of_plain(seconds) if is_plain else seconds)
    is_short = is_lowered or monotonic() - seat.since > LONG_WAIT_SECONDS
    return Road(call, exchange.attempts, seat, exchange.attempted, until, is_short, exchange.spending)


def seconds_of_plain(timeout_seconds: float) -> float:
    """Above a minute up to 5 s less: an SDK that waits as long would give up first, and retry."""
    return timeout_seconds - min(5.0, max(0.0, timeout_seconds - 60) / 100)
