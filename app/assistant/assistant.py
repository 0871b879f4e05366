"""SecureAIAssistant: records each question, asks it, and records the answer before giving it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from math import inf
from time import monotonic
from typing import Any

from ..errors import ClientGone
from ..limits.bounds import Bounds
from ..limits.budgets.budgets import Budgets
from ..limits.token_rates import TokenRates
from ..security.manager import SecurityManager
from ..security.models import Principal
from ..upstream.answer_memory import AnswerMemory
from ..upstream.attempts import Attempts
from ..upstream.call import PreparedCall
from ..upstream.completion import Reply
from ..upstream.fair_slots import FairSlots
from ..upstream.resilience.loop import AttemptLoop
from ..upstream.resilience.seat import Seat
from .ask_requests import Model, prepare_ask
from .deadline import road_of
from .disconnect import Disconnected, cancel_on_disconnect
from .exchange import Exchange
from .known_responses import Responses
from .models import Answer, Document, Origin, Question
from .observed_exchange import FullyObservedExchange, ObservedExchange
from .observer import Observer
from .streaming import NOT_READING, StreamSink, StreamTimeouts, relay_stream
from .token_use import counted_tokens
from .v1_requests import V1Requests


class SecureAIAssistant:
    """Every endpoint asks through `ask`, `complete` or `stream`, so all are recorded alike.

    All three stop asking the model once *disconnected* is done. They raise:

    - Overloaded: either nothing was recorded or sent, or `ask.failed` is written.
    - BudgetSpent, BudgetsUnavailable: nothing was recorded or sent.
    - AuditUnavailable: no answer leaves. If `ask.received` was not written, nothing was sent.
    - UpstreamError and its subclasses, ClientGone, Interrupted (in place of CancelledError), and
      AppError for an unexpected error: `ask.failed` is written.
    """

    def __init__(
        self,
        security: SecurityManager,
        model: Model,
        v1_requests: V1Requests,
        *,
        timeouts: StreamTimeouts | None = None,
        responses: Responses | None = None,
        token_rates: TokenRates | None = None,
        budgets: Budgets | None = None,
        observer: Observer | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """*responses*: those that callers may continue; None: they may continue none.

        *budgets*: must be there where a call has a claim on one. *observer*: is told of each
        question.
        """
        self._observer = observer
        self._responses, self._token_rates, self._budgets = responses, token_rates, budgets
        self._security = security
        self._model = model
        self.v1_requests = v1_requests
        self._timeouts = timeouts or StreamTimeouts()
        self._clock = clock
        self._in_progress = 0
        self._loop = AttemptLoop()
        self.answers = FairSlots(Bounds().answer_bytes)
        """The memory of answers, in bytes."""

    def use(self, model: Model, v1_requests: V1Requests) -> None:
        """For the questions that begin from now on."""
        self._model, self.v1_requests = model, v1_requests

    @property
    def chain(self) -> Any:
        """The runnable `prompt | model | parser`, which is LangChain's successor of LLMChain."""
        return self._model.chain

    def prepare_ask(self, question: Question, principal: Principal, *, stream: bool = False) -> PreparedCall:
        """The call for a question at /ask. Raises as `ask_requests.prepare_ask`."""
        return prepare_ask(self._model, self.v1_requests, question.query, principal, stream=stream)

    async def ask(self, principal: Principal, question: Question, disconnected: Disconnected | None = None) -> Answer:
        """Answer a question at /ask. The answer's record is durable on return."""
        call = self.prepare_ask(question, principal)
        document = await self._reply(principal, call, question.origin, disconnected)
        completion, told = document.reply.completion, (question.origin.request_id, document.receipt)
        assert completion.text is not None  # the call wants text
        return Answer(completion.text, completion.model, completion.usage, *told, completion.stopped_by, document.served)

    async def complete(
        self, principal: Principal, call: PreparedCall, origin: Origin, disconnected: Disconnected | None = None
    ) -> Document:
        """Answer a plain /v1 request. The answer's record is durable on return."""
        return await self._reply(principal, call, origin, disconnected)

    async def _reply(
        self, principal: Principal, call: PreparedCall, origin: Origin, disconnected: Disconnected | None
    ) -> Document:
        """Record the question, ask the model, record the answer: in this order, or not at all."""
        async with self._admitted(principal, call, origin, disconnected) as seat:
            async with self._exchange(principal, call, origin) as exchange:
                road = road_of(exchange, seat, is_plain=True)
                with cancel_on_disconnect(disconnected):
                    async with asyncio.timeout(road.until - monotonic()):
                        reply = await self._loop.answer(road, partial(_send_plain, origin))
                delivered = b"" if call.wants_text else reply.raw  # /v1 passes these bytes on
                served = exchange.begin_answer(road.call)
                return Document(reply, await exchange.answered(reply.completion, delivered), road.call, served)

    async def stream(
        self, principal: Principal, call: PreparedCall, origin: Origin, sink: StreamSink, disconnected: Disconnected | None = None
    ) -> None:
        """Write the answer to *sink* as it arrives; its end only once `ask.answered` is durable."""
        async with self._admitted(principal, call, origin, disconnected) as seat:
            async with self._exchange(principal, call, origin) as exchange:
                sink.name(exchange.received)
                road = road_of(exchange, seat)
                with cancel_on_disconnect(disconnected):
                    streamed = await relay_stream(exchange, road, self._loop, sink, self._timeouts)
                receipt = await exchange.answered(streamed.completion, streamed.unwritten)
                try:
                    async with asyncio.timeout(self._timeouts.end_seconds):
                        if streamed.unwritten:
                            await sink.write(streamed.unwritten)
                        await sink.end(streamed.reader, streamed.completion, receipt)
                except TimeoutError:
                    origin.terminal_record.is_written = True  # by ask.answered
                    raise ClientGone(NOT_READING) from None

    def _exchange(self, principal: Principal, call: PreparedCall, origin: Origin) -> Exchange:
        kept: dict[str, Any] = {"responses": self._responses, "budgets": self._budgets}
        if self._observer is not None:
            kept["observer"] = self._observer
            kind = FullyObservedExchange if self._observer.wants_all else ObservedExchange
            return kind(self._security, principal, call, origin, clock=self._clock, **kept)
        return Exchange(self._security, principal, call, origin, clock=self._clock, **kept)

    def begin_stop(self) -> None:
        """The service stops: nobody waits for memory, and no second server is asked."""
        self.answers.stop()
        self._loop.is_stopping = True

    async def until_idle(self, seconds: float) -> None:
        """Wait at most *seconds* until no question is in progress. Keep the log open until then."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._in_progress:  # noqa: ASYNC110 - once, at the end of the process
                    await asyncio.sleep(0.01)

    @asynccontextmanager
    async def _admitted(
        self, principal: Principal, call: PreparedCall, origin: Origin, disconnected: Disconnected | None
    ) -> AsyncIterator[Seat]:
        """Raises Overloaded, also after a wait for the server's slots, and ClientGone during it.

        Raises QuotaExceeded where a rate in tokens is used up, LimitsUnavailable.
        """
        self._in_progress += 1
        try:
            async with counted_tokens(self._token_rates, call, origin.tokens):
                with Seat(principal.user_id) as seat:
                    with cancel_on_disconnect(disconnected):
                        await seat.take(call.upstream.slots, min(call.timeout_seconds, origin.timeout_seconds or inf))
                    origin.memory.of(self.answers, principal.user_id)
                    yield seat
        finally:
            self._in_progress -= 1


async def _send_plain(origin: Origin, call: PreparedCall, attempts: Attempts, is_fresh: bool) -> Reply:
    if call.hedge_after_seconds is None:  # nearly always
        return await _complete(origin.memory, call, attempts, is_fresh)
    memory = origin.memory.beside()  # two answers may be read at one time
    try:
        reply = await _complete(memory, call, attempts, is_fresh)
        origin.memory.take_over(memory)
    finally:
        memory.end()
    return reply


def _complete(memory: AnswerMemory, call: PreparedCall, attempts: Attempts, is_fresh: bool) -> Awaitable[Reply]:
    more = {"is_fresh": True} if is_fresh else {}
    return call.upstream.complete(
        call.endpoint,
        call.body,
        call.model,
        wants_text=call.wants_text,
        attempts=attempts,
        headers=call.headers,
        memory=memory,
        **more,
    )
