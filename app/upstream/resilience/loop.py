"""The loop of attempts: a question is sent until it is answered, or no other try can help."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeVar

from ...errors import AppError, UpstreamError, UpstreamTimeout
from ..attempts import Attempts
from ..call import PreparedCall
from ..retry_after import told_seconds
from .breaker import Outcome
from .delays import delay_before
from .hedge import Race, second_of
from .kinds import IDLE_CLOSE, BreakerOpen, is_overload, is_servers_fault, may_fall_back, may_retry
from .retry_pot import RetryPot
from .road import Road, Turn, made

T = TypeVar("T")
Send = Callable[[PreparedCall, Attempts, bool], Awaitable[T]]
"""Sends a call that the attempts follow, by a new connection if so told. Raises UpstreamError."""
CLOCK_SECONDS = 0.01
"""How much earlier than told the event loop may wake."""
LONG_WAIT_SECONDS = 2.0
"""A server that asks for a longer one is left for a fallback, if there is any."""


class AttemptLoop:
    """Of one worker."""

    def __init__(self, pot: RetryPot | None = None, dice: Callable[[], float] = random.random) -> None:
        self._pot, self._dice = pot or RetryPot(), dice
        self.is_stopping = False
        """The service stops: no server is asked beside another any more."""

    async def answer(self, road: Road, send: Send[T], drop: Callable[[T], None] = lambda answer: None) -> T:
        """What *send* returns for the first call that is answered; `road.call` is that one then.

        *drop*: gets an answer that came too late. Raises UpstreamError, AuditUnavailable, and what
        *send* raises besides.
        """
        self._pot.add(road.seat.who, road.call.retries.share)
        road.set_out()
        is_fresh = False
        while True:
            try:
                if road.call.hedge_after_seconds is None:  # nearly always
                    return await self._try(road, send, is_fresh)
                return await self._hedged(road, send, is_fresh, drop)
            except UpstreamError as error:
                is_fresh = await self._go_on(road, error)

    async def _hedged(self, road: Road, send: Send[T], is_fresh: bool, drop: Callable[[T], None]) -> T:
        """Send it once, and after a while to a second server, too, if there is one for it."""

        async def second() -> Road | None:
            return None if self.is_stopping else await second_of(road, self._pot, self._may_send)

        return await Race(road, drop).run(lambda one: self._try(one, send, is_fresh and one is road), second)

    async def _try(self, road: Road, send: Send[T], is_fresh: bool) -> T:
        """Send it once."""
        call, breaker = road.call, road.call.upstream.breaker
        now = road.attempts.begin(call.upstream.name, call.sha256)
        entry = breaker.enter()
        if not entry:
            now.is_skipped = True
            now.end("breaker_open")
            raise BreakerOpen(retry_after=max(1.0, breaker.seconds_left))
        outcome, is_counted = Outcome.NONE, False
        slots = call.upstream.slots
        try:
            sending = send(call, road.attempts, is_fresh)
            answer = await (sending if road.own_until is None else _within(road.own_until, sending))
            now.end(None)
            outcome = Outcome.GOOD
            if slots.answered():
                breaker.note_full()
        except UpstreamError as error:
            now.end(error.code)
            if is_surplus := is_overload(error, now):
                if slots.refused():
                    breaker.note_full()
                is_surplus = breaker.is_full
            now.is_race = now.why == IDLE_CLOSE and call.upstream.retries_idle_close and not breaker.failures
            if not is_servers_fault(error, now):
                outcome = Outcome.GOOD
            elif not (now.is_race or is_surplus):
                outcome = Outcome.BAD
            is_counted, now.is_bad = road.attempts.has_failed_at(call.upstream.name), outcome is Outcome.BAD
            raise
        except asyncio.CancelledError:
            if monotonic() >= road.until - CLOCK_SECONDS and not road.is_short:
                outcome = Outcome.BAD
            raise
        finally:
            breaker.leave(entry, outcome, is_counted=is_counted)
        return answer

    async def _go_on(self, road: Road, error: UpstreamError) -> bool:
        """Make `road.call` what to try next; returns whether by a new connection. Raises."""
        call, now = road.call, road.attempts.now
        turn = road.turn = road.turn or Turn(call)
        turn.note(error)
        if now.is_race and not turn.is_renewed:
            turn.is_renewed = True
            call.upstream.breaker.note_retry()
            if await self._may_send(road, call):
                return True
        if now.is_skipped:
            is_going_on = await self._change(road, turn.servers)
        else:
            may_go_on = turn.retries < call.retries.most and may_retry(error, now, after_generation=call.retries.after_generation)
            is_going_on = may_go_on and await self._retry(road, turn)
        if is_going_on:
            return False
        if any(map(may_fall_back, turn.errors)) and await self._change(road, turn.fallbacks):
            road.set_out()
            turn.servers = list(road.call.others)
            return False
        raise turn.error from None

    async def _retry(self, road: Road, turn: Turn) -> bool:
        """Another server of the model at once, or the same one after a while. False: neither.

        Only the latter takes from the retry budget: no server gets a question twice otherwise. One
        that fails other questions, too, or this one again, is left alone: see `Breaker.take_retry`.
        One that has answered others meanwhile is not.
        """
        turn.retries += 1
        if await self._change(road, turn.servers):
            return True
        breaker = road.call.upstream.breaker
        told, now = told_seconds(road.attempts.now.retry_after), monotonic()
        delay = delay_before(turn.retries, told, self._dice)
        is_late = now + delay >= min(road.until, road.own_until or road.until)
        is_left = bool(turn.fallbacks) and (told or 0.0) > LONG_WAIT_SECONDS
        if is_late or is_left or not breaker.may_retry or not self._pot.take(road.seat.who):
            return False
        slots = road.call.upstream.slots
        answers = slots.answers
        await asyncio.sleep(delay)
        has_answered = slots.answers > answers and not breaker.is_open
        if not has_answered and not breaker.take_retry():
            return False
        return road.seat.move(slots) and await self._may_send(road, road.call)

    async def _change(self, road: Road, choices: list[Callable[[], PreparedCall]]) -> bool:
        """Take the first of *choices* that can be sent. False: none can."""
        while choices:
            make = choices.pop(0)
            try:
                call = await made(make, road.call)
            except AppError:  # it does not take this question, or not from this caller
                continue
            if road.seat.move(call.upstream.slots) and await self._may_send(road, call):
                return True
        return False

    async def _may_send(self, road: Road, call: PreparedCall) -> bool:
        """Whether the budgets bear it. What is new about *call* is in the record then."""
        held = await road.spending.may_try(call)
        if held is None:
            return False
        turn = road.turn
        assert turn is not None
        if call.digests != turn.digests or held:
            await road.record(call, held)
        road.call = call
        return True


async def _within(until: float, work: Awaitable[T]) -> T:
    """Raises UpstreamTimeout."""
    try:
        async with asyncio.timeout(max(0.0, until - monotonic())):
            return await work
    except TimeoutError:
        raise UpstreamTimeout from None
