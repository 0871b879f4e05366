"""One question on its way: what is sent now, and what is left to try."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from ...errors import UpstreamError, UpstreamUnavailable
from ..attempts import Attempts
from ..bounds import LARGE_BYTES
from ..call import PreparedCall
from .kinds import BreakerOpen
from .seat import Seat
from .spending import UNLIMITED, Spending

Record = Callable[[PreparedCall, Mapping[str, Any]], Awaitable[None]]


class Turn:
    """What was tried and failed, and what is left."""

    def __init__(self, call: PreparedCall) -> None:
        self.digests = call.digests
        self.servers, self.fallbacks = list(call.others), list(call.fallbacks)
        self.retries = 0
        self.is_renewed = self.is_hedged = False
        self.errors: list[UpstreamError] = []

    def note(self, error: UpstreamError) -> None:
        """A try came to nothing."""
        self.errors.append(error.with_traceback(None))  # which would hold all of a large answer

    @property
    def error(self) -> UpstreamError:
        """What the caller is to see: the error of a server that was asked, best one that passes."""
        asked = [error for error in self.errors if not isinstance(error, BreakerOpen)] or self.errors
        return next((error for error in asked if isinstance(error, UpstreamUnavailable)), asked[0])


@dataclass(slots=True)
class Road:
    """*call* is the one that is sent now, or that was answered."""

    call: PreparedCall
    attempts: Attempts
    seat: Seat
    record: Record
    """Makes `ask.attempted` durable. Raises AuditUnavailable."""
    until: float
    """When it must be answered: of `time.monotonic`."""
    is_short: bool = False
    """Whether the server has less than its time: what is late then is not its fault."""
    spending: Spending = UNLIMITED
    turn: Turn | None = None
    """What is left to try; made with the first error, or with a hedge."""
    own_until: float | None = field(default=None, init=False)
    """When this model must have answered, where others may do so later."""

    def set_out(self) -> None:
        """The first try at the model of *call* begins now."""
        own = self.call.own_seconds
        self.own_until = None if own is None else monotonic() + own

    def beside(self) -> Road:
        """The same question at a second server, which has a seat of its own and less time."""
        return Road(
            self.call, self.attempts.beside(), Seat(self.seat.who), self.record, self.until, True, self.spending, self.turn
        )

    def follow(self, other: Road) -> None:
        """Go on where *other* is, which has no seat then."""
        if other is not self:
            self.call, self.attempts.now = other.call, other.attempts.now
            self.seat.take_over(other.seat)


async def made(make: Callable[[], PreparedCall], now: PreparedCall) -> PreparedCall:
    """The call that *make* prepares in place of *now*. Raises AppError: it does not take this."""
    return await asyncio.to_thread(make) if len(now.body) > LARGE_BYTES else make()
