"""The one deadline of a question: the operator's, or an earlier one that the caller asks for."""

from __future__ import annotations

from time import monotonic

from ..upstream.resilience.loop import Road
from ..upstream.resilience.seat import Seat
from .exchange import Exchange


def road_of(exchange: Exchange, seat: Seat, *, is_plain: bool = False) -> Road:
    """The way of a question, which begins now. The deadline of a stream is for its first event.

    Who waits no longer than *asked* gets their answer a moment before.
    """
    call, asked = exchange.call, exchange.origin.timeout_seconds
    is_lowered = asked is not None and asked < call.timeout_seconds
    seconds = call.timeout_seconds if asked is None or not is_lowered else asked - min(0.5, asked / 50)
    until = monotonic() + (seconds_of_plain(seconds) if is_plain else seconds)
    return Road(call, exchange.attempts, seat, exchange.attempted, until, is_lowered, exchange.spending)


def seconds_of_plain(timeout_seconds: float) -> float:
    """Above a minute up to 5 s less: an SDK that waits as long would give up first, and retry."""
    return timeout_seconds - min(5.0, max(0.0, timeout_seconds - 60) / 100)
