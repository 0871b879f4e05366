"""An observer is told of each question: what is durable, how it ended, and that it is over, whatever happens."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from app.assistant.models import Trace
from app.assistant.observed_exchange import FullyObservedExchange, ObservedExchange
from app.assistant.observer import Ended
from app.audit.format.record import Receipt
from app.errors import AuditUnavailable, UpstreamTimeout
from app.upstream.completion import Completion, Usage

from ...support.asking import PRINCIPAL, FakeLog, origin, prepared

ANSWER = Completion("fine", "small-1", Usage(3, 5), answer="fine", finish="stop")


class Told:
    """An Observer and its only Watch."""

    wants_all = True

    def __init__(self, trace: Trace | None = None) -> None:
        self.trace, self.told, self.how = trace, list[str](), list[Ended]()

    def begin(self, *asked: Any) -> Told:
        self.told.append("begin")
        return self

    def recorded(self, action: str, began: float, receipt: Receipt) -> None:
        self.told.append(action)

    def ended(self, how: Ended) -> None:
        self.told.append("ended")
        self.how.append(how)

    def left(self) -> None:
        self.told.append("left")


def ask(told: Told, log: FakeLog, error: Exception | None = None, kind: type[ObservedExchange] = FullyObservedExchange) -> None:
    async def work() -> None:
        times = iter([10.0, 10.25, 11.0, 12.0])
        with suppress(UpstreamTimeout, AuditUnavailable):
            async with kind(log.security, PRINCIPAL, prepared(), origin(), observer=told, clock=lambda: next(times)) as one:
                if error is not None:
                    raise error
                one.begin_answer(one.call)
                await one.answered(ANSWER)

    asyncio.run(work())


def test_an_answer_is_told_after_its_record_with_its_times() -> None:
    told = Told()
    ask(told, FakeLog())
    assert told.told == ["begin", "ask.received", "ask.answered", "ended", "left"]
    (how,) = told.how
    assert (how.completion, how.code, how.first_byte_seconds, how.seconds) == (ANSWER, None, 0.25, 2.0)


def test_a_failure_is_told_with_its_code() -> None:
    told = Told()
    ask(told, FakeLog(), UpstreamTimeout())
    assert told.told == ["begin", "ask.received", "ask.failed", "ended", "left"]
    assert (told.how[0].code, told.how[0].completion, told.how[0].first_byte_seconds) == ("upstream_timeout", None, None)


def test_a_question_that_cannot_be_recorded_never_began() -> None:
    told = Told()
    ask(told, FakeLog({"ask.received": [AuditUnavailable()]}))
    assert told.told == ["begin", "left"]


def test_an_end_that_cannot_be_recorded_is_none() -> None:
    told = Told()
    ask(told, FakeLog({"ask.answered": [AuditUnavailable()]}))
    assert told.told == ["begin", "ask.received", "left"]


def test_a_trace_of_the_observers_takes_the_place_of_the_callers() -> None:
    trace, told = Trace("1" * 32, "2" * 16), Told()
    told.trace = trace

    async def work() -> None:
        async with ObservedExchange(FakeLog().security, PRINCIPAL, prepared(), origin(), observer=told) as one:
            assert one.origin.trace == trace
            await one.answered(ANSWER)

    asyncio.run(work())


def test_who_wants_less_is_told_of_the_beginning_and_the_end() -> None:
    for error, end in ((None, ["ended"]), (UpstreamTimeout(), ["ended"])):
        told = Told()
        ask(told, FakeLog(), error, ObservedExchange)
        assert told.told == ["begin", "ask.received", *end]
    told = Told()
    ask(told, FakeLog({"ask.received": [AuditUnavailable()]}), None, ObservedExchange)
    assert told.told == ["begin"]
