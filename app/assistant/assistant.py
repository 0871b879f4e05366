"""SecureAIAssistant: a question is written down, asked, and its answer written down before it is given."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol, TypeVar

import orjson

from ..audit.format.record import Receipt
from ..errors import AppError, ClientGone, Interrupted, Overloaded, UpstreamTimeout
from ..security.manager import SecurityManager
from ..security.models import Principal
from ..upstream.call import PreparedCall
from ..upstream.client import UNREADABLE, unusable
from ..upstream.completion import Completion
from ..upstream.protocol.endpoint import StreamReader, with_safe_name
from .exchange import Exchange
from .models import Answer, Document, Origin, Question
from .streaming import StreamSink, StreamTimeouts, run_stream, verified
from .v1_requests import V1Requests

LOG = logging.getLogger("app.assistant")
Disconnected = asyncio.Future[None]
T = TypeVar("T")


class Model(Protocol):
    """What /ask wants of a language model; app.upstream.langchain has the real one."""

    @property
    def chain(self) -> Any:
        """LangChain's `prompt | model | parser`."""

    @property
    def name(self) -> str:
        """The model's name, as callers know it."""

    def prepare(self, query: str, *, stream: bool = False) -> PreparedCall:
        """The exact body that will be sent for *query*, and its digest."""


class SecureAIAssistant:
    """Every door asks through `ask`, `complete` or `stream`, which are one road, so that every door is recorded alike.

    All of them take *hung_up*, which is done once the caller is gone: the model is asked no further then. They raise
    Overloaded (nothing was recorded or sent), AuditUnavailable (no answer leaves; if `ask.received` could not be written,
    nothing was sent), or, with `ask.failed` written: UpstreamError or below it, ClientGone, Interrupted (in place of
    CancelledError), AppError for what nobody foresaw.
    """

    def __init__(
        self,
        security: SecurityManager,
        model: Model,
        calls: V1Requests,
        *,
        timeout_seconds: float,
        timeouts: StreamTimeouts | None = None,
        max_waiting: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """*max_waiting*: how many questions may be with the model or wait for it; None for no bound."""
        self._security = security
        self._model = model
        self.calls = calls
        self._timeout_seconds = timeout_seconds
        self._pace = timeouts or StreamTimeouts(silence_seconds=timeout_seconds)
        self._max_waiting = max_waiting
        self._clock = clock
        self._asking = 0

    @property
    def chain(self) -> Any:
        """The runnable `prompt | model | parser`: the successor that LangChain names for LLMChain."""
        return self._model.chain

    def prepare(self, question: Question, principal: Principal, *, stream: bool = False) -> PreparedCall:
        """Raises ModelNotFound where this principal's roles may not use the model of /ask."""
        self.calls.verify_may_use(self._model.name, principal)
        return self._model.prepare(question.query, stream=stream)

    async def ask(self, principal: Principal, question: Question, disconnected: Disconnected | None = None) -> Answer:
        """The answer of the simple door, once its record is durable."""
        call = self.prepare(question, principal)
        completion, _, receipt = await self._whole(principal, call, question.origin, disconnected)
        assert completion.text is not None
        return Answer(completion.text, completion.model, completion.usage, question.origin.request_id, receipt)

    async def complete(
        self, principal: Principal, call: PreparedCall, origin: Origin, disconnected: Disconnected | None = None
    ) -> Document:
        """The plain answer of a /v1 door, with its receipt, once its record is durable."""
        _, (raw, document), receipt = await self._whole(principal, call, origin, disconnected)
        return Document(raw, document, receipt)

    async def stream(
        self, principal: Principal, call: PreparedCall, origin: Origin, sink: StreamSink, disconnected: Disconnected | None = None
    ) -> None:
        """Give the answer to *outlet* as it comes; its end only once `ask.answered` is durable."""
        exchange = Exchange(self._security, principal, call, origin, self._clock)
        with self._admitted():

            async def ask() -> tuple[StreamReader, Completion, bytes]:
                async with _Until(disconnected):
                    return await run_stream(exchange, sink, self._pace)

            reader, completion, kept = await self._travel(exchange, ask, sink)
            exchange.deliver(kept)
            receipt = await exchange.answered(completion)
            try:
                async with asyncio.timeout(self._pace.silence_seconds):
                    if kept:
                        await sink.write(kept)
                    await sink.end(reader, completion, receipt)
            except TimeoutError:
                origin.terminal_record.is_written = True  # by `ask.answered`
                raise ClientGone("The caller does not read.") from None

    async def _whole(
        self, principal: Principal, call: PreparedCall, origin: Origin, disconnected: Disconnected | None
    ) -> tuple[Completion, tuple[bytes, Any], Receipt]:
        exchange = Exchange(self._security, principal, call, origin, self._clock)
        with self._admitted():

            async def ask() -> tuple[Completion, tuple[bytes, Any]]:
                async with _Until(disconnected), asyncio.timeout(self._timeout_seconds):
                    raw, document = await call.upstream.complete(call.endpoint.path, call.body)
                try:
                    completion = verified(call.endpoint.read(document, call.model), call)
                    if with_safe_name(document, call.model):
                        raw = orjson.dumps(document)
                    return completion, (raw, document)
                except UNREADABLE:
                    raise unusable(raw) from None

            completion, answer = await self._travel(exchange, ask)
            if not call.wants_text:
                exchange.deliver(answer[0])
            return completion, answer, await exchange.answered(completion)

    async def until_idle(self, seconds: float) -> None:
        """Until no question is on its way any more, but not longer: what was asked must find the log open at its end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._asking:  # noqa: ASYNC110 - once, at the end of the process
                    await asyncio.sleep(0.01)

    @contextmanager
    def _admitted(self) -> Iterator[None]:
        if self._max_waiting is not None and self._asking >= self._max_waiting:
            raise Overloaded(retry_after=5)
        self._asking += 1
        try:
            yield
        finally:
            self._asking -= 1

    async def _travel(self, exchange: Exchange, ask: Callable[[], Awaitable[T]], sink: StreamSink | None = None) -> T:
        """(1) `ask.received` is durable, (2) the model is asked, or `ask.failed` is durable. (3) `ask.answered` is left to do."""
        received = await exchange.start()
        if sink is not None:
            sink.name(received)
        try:
            if exchange.is_stopped:
                raise Interrupted
            return await ask()
        except TimeoutError:
            error: AppError = UpstreamTimeout()
            await exchange.failed(error)
            raise error from None
        except AppError as error:
            await exchange.failed(error)
            raise
        except asyncio.CancelledError:  # nothing but a stop that ran out of grace cancels a question
            stop = Interrupted()
            await exchange.failed(stop)
            raise stop from None
        except Exception as crash:  # ours to mend; its record ends the question, as far as the log can be written
            LOG.exception("request %s failed in a way that nobody foresaw", exchange.origin.request_id)
            failure = AppError()
            await exchange.failed(failure)
            raise failure from crash


class _Until:
    """Ends what it surrounds with ClientGone once the caller is gone."""

    def __init__(self, disconnected: Disconnected | None) -> None:
        self._hung_up = disconnected

    async def __aenter__(self) -> None:
        if self._hung_up is not None:
            self._task = asyncio.current_task()
            self._hung_up.add_done_callback(self._stop)

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        disconnected = self._hung_up
        if disconnected is None:
            return
        disconnected.remove_done_callback(self._stop)  # it may be on its way already: then it finds nobody
        task, self._task = self._task, None
        if kind is asyncio.CancelledError and disconnected.done() and not disconnected.cancelled():  # else it is somebody else's
            assert task is not None
            task.uncancel()
            raise ClientGone() from None

    def _stop(self, disconnected: Disconnected) -> None:
        if not disconnected.cancelled() and self._task is not None:
            self._task.cancel()
