"""Hedging: a question to a slow server goes to a second one, too. The first good answer counts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from time import monotonic
from typing import Any, Generic, TypeVar

from ...errors import AppError, UpstreamError, UpstreamTimeout
from ..call import PreparedCall
from .retry_pot import RetryPot
from .road import Road, Turn, made

T = TypeVar("T")
HEDGED_AWAY = "hedged_away"
"""Why a try came to nothing: the other server answered first."""
LATE_SECONDS = 0.05
"""How much later than the server's own timeout the race ends: the server is to be blamed first."""


async def second_of(road: Road, pot: RetryPot, may_send: Callable[[Road, PreparedCall], Awaitable[bool]]) -> Road | None:
    """Where to ask beside *road*: another server of the model, at most once for a question.

    None: there is none whose breaker is closed and which has a free slot, or the retry budget or
    *may_send*, as in the loop of attempts, says no. Raises what *may_send* raises.
    """
    turn = road.turn = road.turn or Turn(road.call)
    if turn.is_hedged:
        return None
    other = road.beside()
    for make in list(turn.servers):
        try:
            call = await made(make, road.call)
        except AppError:  # it does not take this question
            continue
        if call.upstream is road.call.upstream or call.upstream.breaker.is_open or not other.seat.move(call.upstream.slots):
            continue
        try:
            if pot.take(road.seat.who) and await may_send(other, call):
                turn.servers.remove(make)
                turn.is_hedged = True
                return other
        except BaseException:
            other.seat.leave()
            raise
        other.seat.leave()
        return None
    return None


class Race(Generic[T]):
    """Of one question at one server, and maybe at a second one."""

    def __init__(self, road: Road, drop: Callable[[T], None]) -> None:
        """*road*: leads to the server that counts in the end. *drop*: gets an answer too many."""
        self._road, self._drop = road, drop
        self._racers: dict[asyncio.Task[T], Road] = {}

    async def run(self, send: Callable[[Road], Coroutine[Any, Any, T]], second: Callable[[], Awaitable[Road | None]]) -> T:
        """The first good answer. Where one fails, the other is waited for; raises the last error.

        *send*: raises UpstreamError. *second*: finds a second server, and whatever it raises ends
        the race. Nothing goes on when this has returned or raised.
        """
        road = self._road
        try:
            first = self._begin(send(road), road)
            await asyncio.wait({first}, timeout=road.call.hedge_after_seconds)
            if not first.done() and (other := await second()) is not None:
                if not first.done() or _has_failed(first):
                    self._begin(send(other), other)
                else:  # it was answered meanwhile, and nothing is sent
                    other.seat.leave()
            winner, answer = await self._first_good()
        except BaseException:
            await self._stop(None)
            raise
        try:
            await self._stop(HEDGED_AWAY)
        except BaseException:
            self._drop(answer)
            raise
        finally:
            road.follow(winner)
        return answer

    def _begin(self, sending: Coroutine[Any, Any, T], road: Road) -> asyncio.Task[T]:
        task = asyncio.create_task(sending)
        self._racers[task] = road
        return task

    async def _first_good(self) -> tuple[Road, T]:
        own = self._road.own_until
        while True:
            left = None if own is None else max(0.0, own + LATE_SECONDS - monotonic())
            done, _ = await asyncio.wait(self._racers, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                await self._stop(UpstreamTimeout.code)
                raise UpstreamTimeout
            for task in [one for one in self._racers if one in done]:
                racer = self._racers[task]
                try:
                    answer = task.result()
                except UpstreamError as error:
                    del self._racers[task]
                    if not self._racers:
                        raise
                    self._wait_for_other(racer, error)
                else:
                    del self._racers[task]
                    return racer, answer

    def _wait_for_other(self, failed: Road, error: UpstreamError) -> None:
        road = self._road
        assert road.turn is not None
        road.turn.note(error)
        if failed is not road:
            failed.seat.leave()
            return
        ((task, other),) = self._racers.items()
        road.follow(other)
        self._racers = {task: road}

    async def _stop(self, why: str | None) -> None:
        """Cancel what goes on, and wait for its end; a cancellation does, too.

        *why*: what is recorded of it; None: that is decided later.
        """
        racers, self._racers = self._racers, {}
        for task in racers:
            task.cancel()
        cancelled: asyncio.CancelledError | None = None
        while pending := [task for task in racers if not task.done()]:
            try:
                await asyncio.wait(pending)
            except asyncio.CancelledError as error:
                cancelled = error
        for task, racer in racers.items():
            if why is not None and racer.attempts.now.why is None:
                racer.attempts.now.end(why)
            if racer is not self._road:
                racer.seat.leave()
            if not task.cancelled() and task.exception() is None:
                self._drop(task.result())
        if cancelled is not None:
            raise cancelled


def _has_failed(task: asyncio.Task[Any]) -> bool:
    """So that the other server may help."""
    return task.done() and not task.cancelled() and isinstance(task.exception(), UpstreamError)
