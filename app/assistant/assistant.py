"""SecureAIAssistant: records each question, asks it, and records the answer before giving it."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol

from ..audit.format.record import Receipt
from ..errors import ClientGone
from ..limits.bounds import Bounds
from ..security.manager import SecurityManager
from ..security.models import Principal
from ..upstream.call import PreparedCall
from ..upstream.client import Upstream
from ..upstream.completion import Reply
from ..upstream.fair_slots import FairSlots
from ..upstream.protocol.chat import CHAT
from ..upstream.protocol.stream_reader import StreamReader
from .disconnect import Disconnected, cancel_on_disconnect
from .exchange import Exchange
from .known_responses import KnownResponses
from .models import Answer, Document, Origin, Question
from .streaming import NOT_READING, StreamSink, StreamTimeouts, relay_stream
from .v1_requests import V1Requests


class Model(Protocol):
    """What /ask needs of a language model. app.upstream.language_model has the real one."""

    name: str
    """The name that callers know."""
    upstream: Upstream

    @property
    def chain(self) -> Any:
        """LangChain's `prompt | model | parser`."""

    def build_body(self, query: str, *, stream: bool = False) -> bytes:
        """The exact body that is sent for *query*. Raises InvalidRequest for a lone surrogate."""


class SecureAIAssistant:
    """Every endpoint asks through `ask`, `complete` or `stream`, so all are recorded alike.

    All three stop asking the model once *disconnected* is done. They raise:

    - Overloaded: either nothing was recorded or sent, or `ask.failed` is written.
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
        responses: KnownResponses | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """*responses*: those that callers may continue; None: they may continue none."""
        self._responses = responses
        self._security = security
        self._model = model
        self.v1_requests = v1_requests
        self._timeouts = timeouts or StreamTimeouts()
        self._clock = clock
        self._in_progress = 0
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
        """The call for a question at /ask. Raises ModelNotFound, InvalidRequest."""
        model = self._model
        entry = self.v1_requests.verify_may_use(model.name, principal)
        body = model.build_body(question.query, stream=stream)
        catalogue = self.v1_requests.catalogue
        asked, caps = {"query": question.query}, catalogue.caps_for(principal.roles, principal.client_roles)
        digest, seconds = hashlib.sha256(body).hexdigest(), (entry.seconds_for(caps), caps.stream_timeout_seconds)
        policy = catalogue.short_sha256
        return PreparedCall(model.upstream, CHAT, model.name, body, digest, asked, *seconds, wants_text=True, policy=policy)

    async def ask(self, principal: Principal, question: Question, disconnected: Disconnected | None = None) -> Answer:
        """Answer a question at /ask. The answer's record is durable on return."""
        call = self.prepare_ask(question, principal)
        reply, receipt = await self._reply(principal, call, question.origin, disconnected)
        completion = reply.completion
        assert completion.text is not None  # the call wants text
        return Answer(
            completion.text, completion.model, completion.usage, question.origin.request_id, receipt, completion.stopped_by
        )

    async def complete(
        self, principal: Principal, call: PreparedCall, origin: Origin, disconnected: Disconnected | None = None
    ) -> Document:
        """Answer a plain /v1 request. The answer's record is durable on return."""
        reply, receipt = await self._reply(principal, call, origin, disconnected)
        return Document(reply.raw, reply.document, receipt)

    async def _reply(
        self, principal: Principal, call: PreparedCall, origin: Origin, disconnected: Disconnected | None
    ) -> tuple[Reply, Receipt]:
        """Record the question, ask the model, record the answer: in this order, or not at all."""
        async with self._admitted(principal, call, disconnected):
            origin.memory.of(self.answers, principal.user_id)
            async with self._exchange(principal, call, origin) as exchange:
                with cancel_on_disconnect(disconnected):
                    async with asyncio.timeout(_seconds_of_plain(call.timeout_seconds)):
                        reply = await call.upstream.complete(
                            call.endpoint,
                            call.body,
                            call.model,
                            wants_text=call.wants_text,
                            attempts=exchange.attempts,
                            headers=call.headers,
                            memory=origin.memory,
                        )
                delivered = b"" if call.wants_text else reply.raw  # /v1 passes these bytes on
                return reply, await exchange.answered(reply.completion, delivered)

    async def stream(
        self, principal: Principal, call: PreparedCall, origin: Origin, sink: StreamSink, disconnected: Disconnected | None = None
    ) -> None:
        """Write the answer to *sink* as it arrives; its end only once `ask.answered` is durable."""
        reader = call.endpoint.reader(call.model, call.wants_usage)
        async with self._admitted(principal, call, disconnected):
            origin.memory.of(self.answers, principal.user_id)
            async with self._exchange(principal, call, origin, reader) as exchange:
                sink.name(exchange.received)
                with cancel_on_disconnect(disconnected):
                    streamed = await relay_stream(exchange, reader, sink, self._timeouts)
                receipt = await exchange.answered(streamed.completion, streamed.unwritten)
                try:
                    async with asyncio.timeout(self._timeouts.end_seconds):
                        if streamed.unwritten:
                            await sink.write(streamed.unwritten)
                        await sink.end(reader, streamed.completion, receipt)
                except TimeoutError:
                    origin.terminal_record.is_written = True  # by ask.answered
                    raise ClientGone(NOT_READING) from None

    def _exchange(self, principal: Principal, call: PreparedCall, origin: Origin, reader: StreamReader | None = None) -> Exchange:
        return Exchange(self._security, principal, call, origin, reader=reader, responses=self._responses, clock=self._clock)

    async def until_idle(self, seconds: float) -> None:
        """Wait at most *seconds* until no question is in progress. Keep the log open until then."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._in_progress:  # noqa: ASYNC110 - once, at the end of the process
                    await asyncio.sleep(0.01)

    @asynccontextmanager
    async def _admitted(self, principal: Principal, call: PreparedCall, disconnected: Disconnected | None) -> AsyncIterator[None]:
        """Raises Overloaded, also after a wait for the server's slots, and ClientGone during it."""
        slots, who = call.upstream.slots, principal.user_id
        self._in_progress += 1
        try:
            with cancel_on_disconnect(disconnected):
                await slots.take(who)
            try:
                yield
            finally:
                slots.give_back(who)
        finally:
            self._in_progress -= 1


def _seconds_of_plain(timeout_seconds: float) -> float:
    """Above a minute up to 5 s less: an SDK that waits as long would give up first, and retry."""
    return timeout_seconds - min(5.0, max(0.0, timeout_seconds - 60) / 100)
